"""Atoms for samples: the work of ``Samples.place``."""

from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from gflownet_crystal.api.crystals import Crystals
from gflownet_crystal.api.judging import energies_of
from gflownet_crystal.api.words import setting_texts
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import SPACE_GROUP
from gflownet_crystal.common.values import seed_number, whole_number
from gflownet_crystal.config.build import build
from gflownet_crystal.config.compose import compose_config
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.structure_energies import StructureEnergies
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_checks import placing_fault
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS, frame_to_specs
from gflownet_crystal.workflows.placing.making import Maker
from gflownet_crystal.workflows.placing.placing import why_unplaced

_GEOMETRY = (*REQUIRED_COLUMNS, "volume_per_atom")


def place(
    frame: pd.DataFrame,
    generator: str | Generator,
    settings: Mapping[str, object] | None,
    tries: int,
    energy_model: str | Mapping[str, object] | StructureEnergies | None,
    seed: int,
    batch_size: int,
    device: str,
    quiet: bool,
) -> Crystals:
    """Crystals of samples; see :meth:`gflownet_crystal.Samples.place`."""
    place_on = find_device(device)
    made_by = build_generator(generator, settings)
    model = None if energy_model is None else energies_of(energy_model, place_on)
    maker = Maker(made_by, place_on, whole_number(tries, "tries", 1), seed_number(seed, "seed"), True, model)
    check_specs(frame)
    size = whole_number(batch_size, "batch_size", 1)
    parts = []
    with (
        stop_on_signal() as should_stop,
        Progress(len(frame), 0, "placing atoms", quiet or not len(frame)) as progress,
    ):
        for start in range(0, max(len(frame), 1), size):
            if should_stop():
                raise KeyboardInterrupt("placing was interrupted; no crystals are kept")
            part = frame.iloc[start : start + size]
            made = maker.make(part)
            parts.append(made)
            progress.advance(f"{len(made)} structures of {len(part)} specs", len(part))
    made = pd.concat([part for part in parts if len(part)] or parts[:1], ignore_index=True)
    return _crystals(frame, made, judged=model is not None)


def _crystals(frame: pd.DataFrame, made: pd.DataFrame, judged: bool) -> Crystals:
    """Crystals of a generator's structures of samples."""
    rows = made["row"].to_numpy(dtype="int64")
    table = pd.DataFrame({"name": made["material_id"], SPACE_GROUP: made[SPACE_GROUP], "sample": rows})
    table["distance_ratio"] = made["distance_ratio"]
    if judged:
        table[ENERGY_COLUMN] = made[ENERGY_COLUMN]
    others = frame.drop(columns=[name for name in (*_GEOMETRY, *table.columns) if name in frame.columns])
    unplaced = frame[~frame.index.isin(rows)]
    left_out = unplaced[list(REQUIRED_COLUMNS)].assign(reason=why_unplaced(unplaced))
    return Crystals(frame_to_structures(made), table.join(others.loc[rows].reset_index(drop=True)), left_out)


def build_generator(given: str | Generator, settings: Mapping[str, object] | None = None) -> Generator:
    """A generator by name, or as it is.

    Args:
        given: name of a config of the group ``generator``, or an object.
        settings: further settings of a named one.

    Raises:
        ConfigError: an unknown name or setting, or settings of an object.
    """
    if isinstance(given, Generator):
        if settings:
            raise ConfigError("a generator that is an object has its settings already; leave settings out")
        return given
    words = setting_texts({"generator": given, **{f"generator.{k}": v for k, v in (settings or {}).items()}})
    return build(compose_config("generate", words).generator, Generator, "generator")


def check_specs(frame: pd.DataFrame) -> None:
    """See that specs have cells that their groups allow.

    Raises:
        DataError: one has not.
    """
    if frame.empty:
        return
    if (fault := placing_fault(frame_to_specs(frame))) is not None:
        raise DataError(fault)
