"""The best of samples with their atoms: the work of ``Samples.screen``, by the engine of the verb ``export``."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from gflownet_crystal.api.crystals import ENERGY_STD, Crystals
from gflownet_crystal.api.judging import energies_of
from gflownet_crystal.api.placing import build_generator, check_specs
from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import CIF_FILE, ENERGY_BEFORE, REASON, STATUS
from gflownet_crystal.common.run_summary import UNKNOWN, Quantity
from gflownet_crystal.common.values import seed_number, whole_number
from gflownet_crystal.data.schema import ENERGY_COLUMN, HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.proxies.e_above_hull import EnergyAboveHull
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.proxies.product import discovery_of
from gflownet_crystal.proxies.several import main_proxy
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS
from gflownet_crystal.workflows.candidates import engine as engine
from gflownet_crystal.workflows.candidates.files import candidates_of
from gflownet_crystal.workflows.candidates.further import (
    FURTHER,
    by_rank,
    further_seed,
    usual_screening,
)
from gflownet_crystal.workflows.candidates.hulls import ENERGIES, hull_with_atoms, predicted_hulls
from gflownet_crystal.workflows.candidates.screening import Outcome
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.settings.screening import Screening

if TYPE_CHECKING:
    from gflownet_crystal.api.run import Run
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

    def screening(self, run: Run | None, has_judge: bool) -> Screening:
        """Settings of the screening.

        Args:
            run: run of the samples, or None.
            has_judge: whether a model gives energies with atoms.

        Raises:
            ConfigError: a setting is unknown or out of range.
        """
        if twice := sorted({"k", "seed", "batch_size"} & set(self.settings)):
            raise ConfigError(f"{', '.join(twice)} is an argument of screen; leave it out of settings")
        k = whole_number(self.k, "k", 1)
        values = usual_screening(run is not None and discovery_of(run.reward.function) is not None, k)
        values |= dict(self.settings) | {
            "k": k,
            "seed": seed_number(self.seed, "seed"),
            "batch_size": whole_number(self.batch_size, "batch_size", 1),
        }
        settings = prepared(Screening, values, "screening")()
        has_hull = known_of(run) in ENERGIES
        return by_rank(settings, has_hull, has_judge)


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
    run, place_on = samples.run, find_device(device)
    named = None if hull is None else str(hull)
    known = known_of(run)
    judge = None if energy_model is None else energies_of(energy_model, place_on)
    settings = search.screening(run, judge is not None)
    hulls = own_hull(run), reward_hull(run)
    with_atoms = hull_with_atoms(named, known, *hulls)
    predicted = predicted_hulls(named, known, *hulls) if known in ENERGIES else (None, None)
    made_by, tries = build_generator(generator), whole_number(search.tries, "tries", 1)
    contacts = Contacts.from_weights("contacts")
    placer = Placer(made_by, with_atoms, judge, contacts, tries, settings.promising, settings.seed, place_on)
    first = samples.to_frame()
    check_specs(first)
    draw = _further(samples, search)
    outcome, compounds = engine.screen_samples(first, draw, settings, placer, known, predicted, quiet)
    return _crystals(outcome, compounds, settings.k)


def known_of(run: Run | None) -> Quantity:
    """The property of a run's proxy; not known without a run."""
    return UNKNOWN if run is None else Quantity(run.property_name, run.unit)


def own_hull(run: Run | None) -> Callable[[], Hull | None]:
    """Gives the hull from which a run's proxy measures energies, None where it has none."""
    proxy = None if run is None else main_proxy(run.proxy)
    return lambda: proxy.hull if isinstance(proxy, EnergyAboveHull) else None


def reward_hull(run: Run | None) -> Callable[[], Hull | None]:
    """A function that returns the hull that a run's reward subtracts from formation energies, or None."""
    function = None if run is None else discovery_of(run.reward.function)
    return lambda: None if function is None else function.hull


def _further(samples: Samples, search: Search) -> Callable[[int], pd.DataFrame] | None:
    run = samples.run
    if run is None or not search.further:
        return None

    def draw(number: int) -> pd.DataFrame:
        seed = further_seed(search.seed, number)
        return run.draw(FURTHER, seed, FURTHER, samples.restrict, samples.condition)

    return draw


def _crystals(outcome: Outcome, compounds: KnownCompounds, k: int) -> Crystals:
    candidates = candidates_of(outcome, compounds)
    names = (
        candidates.frame[CIF_FILE].str.removesuffix(".cif") if len(candidates.frame) else pd.Series(dtype=str)
    )
    table = candidates.frame.drop(columns=list(_DROPPED)).rename(columns=_RENAMED).assign(name=names)
    left_out, funnel = candidates.left_out.rename(columns=_RENAMED), pd.DataFrame(outcome.funnel)
    if len(table) < k:
        warnings.warn(
            f"{len(table)} of {k} crystals found: sample more, or loosen the settings of the screening, such as within",
            stacklevel=4,
        )
    structures = candidates.structures
    return Crystals(Crystals.none() if structures is None else structures, table, left_out, funnel)
