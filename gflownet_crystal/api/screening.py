"""The best of samples with their atoms: the work of ``Samples.screen``, by the engine of the verb ``export``."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gflownet_crystal.api.crystals import ENERGY_STD, Crystals
from gflownet_crystal.api.judging import energies_of
from gflownet_crystal.api.placing import build_generator, check_specs
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import CIF_FILE, ENERGY_BEFORE, REASON, STATUS
from gflownet_crystal.common.run_summary import UNKNOWN, FunnelStage, Quantity
from gflownet_crystal.common.values import seed_number, whole_number
from gflownet_crystal.config.parts import Parts
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull
from gflownet_crystal.proxies.product import discovery_of
from gflownet_crystal.proxies.several import main_proxy
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.workflows.candidates import engine
from gflownet_crystal.workflows.candidates.files import Candidates
from gflownet_crystal.workflows.candidates.source import CandidateSource

if TYPE_CHECKING:
    from gflownet_crystal.api.samples import Samples

BY_PROXY = "e_above_hull_proxy"
"""Energy above the hull of a spec by the proxy, eV/atom."""

_RENAMED = {
    ENERGY_BEFORE: ENERGY_COLUMN,
    "energy_before_std": ENERGY_STD,
    JUDGED_HULL: HULL_COLUMN,
    HULL_COLUMN: BY_PROXY,
}
_DROPPED = (*REQUIRED_COLUMNS[1:], "volume_per_atom", STATUS, REASON, CIF_FILE)


@dataclass(frozen=True)
class Search:
    """Settings of the search for the best samples.

    Attributes:
        k: number of crystals.
        tries: number of times that the generator makes a promising spec.
        further: whether more samples are drawn where those at hand do not suffice.
        seed: random seed of placement and of further samples.
        batch_size: number of specs that get atoms at a time.
        settings: fields of :class:`~gflownet_crystal.workflows.settings.screening.Screening` that differ from the
            defaults.
    """

    k: int
    tries: int
    further: bool
    seed: int
    batch_size: int
    settings: Mapping[str, Any]


def screen_samples(
    samples: Samples,
    search: Search,
    generator: str | Generator,
    energy_model: str | Mapping[str, Any] | StructureEnergies | None,
    hull: str | Path | None,
    device: str,
    quiet: bool,
) -> Crystals:
    """The best of samples; see :meth:`gflownet_crystal.Samples.screen`."""
    if twice := sorted({"k", "seed", "batch_size"} & set(search.settings)):
        raise ConfigError(f"{', '.join(twice)} is an argument of screen; leave it out of settings")
    place_on, named = find_device(device), None if hull is None else str(hull)
    source = _source(samples, search)
    judge = None if energy_model is None else energies_of(energy_model, place_on)
    rules, placer = engine.make_engine(
        source,
        build_generator(generator),
        source.judged_hull(named),
        judge,
        whole_number(search.tries, "tries", 1),
        place_on,
        search.settings,
        k=whole_number(search.k, "k", 1),
        seed=source.seed,
        batch_size=whole_number(search.batch_size, "batch_size", 1),
    )
    prepare = engine.preparation(source, named if source.has_hull else None, placer.hull)
    first = samples.to_frame()
    check_specs(first)
    draw = source.draw_further(samples.restrict)
    return _crystals(*engine.screen_samples(first, draw, rules, placer, prepare, quiet), rules.k)


def _source(samples: Samples, search: Search) -> CandidateSource:
    """Samples as a source of candidates; without a run, their proxy is unknown."""
    run, seed = samples.run, seed_number(search.seed, "seed")
    proxy = None if run is None else main_proxy(run.proxy)
    reward = None if run is None else discovery_of(run.reward.function)

    def parts() -> Parts:
        if run is None:
            raise ConfigError("these samples are of no run that could draw more of them")
        return run.parts_at(samples.condition)

    return CandidateSource(
        folder=Path(),
        known=UNKNOWN if run is None else Quantity(run.property_name, run.unit),
        seeks_discoveries=reward is not None,
        own_hull=lambda: proxy.hull if isinstance(proxy, EnergyAboveHull) else None,
        reward_hull=lambda: None if reward is None else reward.hull,
        parts=parts,
        seed=seed,
        has_weights=run is not None and search.further,
    )


def _crystals(candidates: Candidates, funnel: list[FunnelStage], k: int) -> Crystals:
    names = (
        candidates.frame[CIF_FILE].str.removesuffix(".cif") if len(candidates.frame) else pd.Series(dtype=str)
    )
    table = candidates.frame.drop(columns=list(_DROPPED)).rename(columns=_RENAMED).assign(name=names)
    left_out = candidates.left_out.rename(columns=_RENAMED)
    if len(table) < k:
        warnings.warn(
            f"{len(table)} of {k} crystals found: sample more, or loosen the settings of the screening, such as within",
            stacklevel=4,
        )
    structures = candidates.structures
    return Crystals(
        StructureBatch.none() if structures is None else structures, table, left_out, pd.DataFrame(funnel)
    )
