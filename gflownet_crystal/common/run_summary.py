"""Figures of a run as its ``summary.json`` holds them: written by a verb, read by the others."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import NamedTuple, Self, TypedDict

from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.run_schema import SUMMARY


class Quantity(NamedTuple):
    """Property that a proxy predicts, and its unit; None where they are not known."""

    name: str | None
    unit: str | None


UNKNOWN = Quantity(None, None)


class FunnelStage(TypedDict):
    """Stage of a screening, and number of specs left after it."""

    stage: str
    n: int


class CrystalFigures(TypedDict, total=False):
    """Chemistry and symmetry of a table of specs; volume per atom in Å^3."""

    n_space_groups: int
    crystal_lattice_systems: list[str]
    point_symmetries: list[str]
    elements: list[str]
    n_formulas: int
    median_volume_per_atom: float


class SampleFigures(CrystalFigures, total=False):
    """Figures of samples; energies in the unit of the property, quantiles by their level.

    Of several objectives also quantiles of the other properties, and the shares that are stable and within the limits.
    """

    n: int
    energy_quantiles: dict[str, float]
    energy_minimum: float
    mean_log_reward: float
    unplaced: int
    property_quantiles: dict[str, dict[str, float]]
    shares: dict[str, float]
    best: CrystalFigures


@dataclass(frozen=True)
class RunSummary:
    """Summary of a sampler's training.

    Attributes:
        quantity: property that the proxy predicts.
        proxy: class of the proxy.
        env: class of the environment.
        oxidation_table: oxidation table of the environment, as its configuration has it.
        iterations: number of iterations.
        trajectories: number of trajectories.
        log_z: learned log Z.
        training_seconds: duration of the training, s.
        samples: figures of the samples.
        hardware: machine, and versions of packages.
        candidates: figures of the candidates; None where none were made.
        properties: unit of each property of several proxies but the main one, by its column.
    """

    quantity: Quantity = UNKNOWN
    proxy: str | None = None
    env: str | None = None
    oxidation_table: object = None
    iterations: int | None = None
    trajectories: int | None = None
    log_z: float | None = None
    training_seconds: float | None = None
    samples: SampleFigures = field(default_factory=SampleFigures)
    hardware: Mapping[str, object] = field(default_factory=dict)
    candidates: Mapping[str, object] | None = None
    properties: Mapping[str, object] = field(default_factory=dict)

    def as_json(self) -> dict[str, object]:
        """Values of the file."""
        values: dict[str, object] = {"property": self.quantity.name, "unit": self.quantity.unit}
        values |= {one.name: getattr(self, one.name) for one in fields(self)[1:]}
        return {
            name: value for name, value in values.items() if name not in ("candidates", "properties") or value
        }

    @classmethod
    def of(cls, stored: Mapping[str, object]) -> Self:
        """The summary that a file holds; None for values that it lacks, or has as something else."""
        iterations, seconds = stored.get("iterations"), stored.get("training_seconds")
        hardware, properties = stored.get("hardware"), stored.get("properties")
        return cls(
            quantity=Quantity(text_of(stored, "property"), text_of(stored, "unit")),
            proxy=text_of(stored, "proxy"),
            env=text_of(stored, "env"),
            iterations=iterations if isinstance(iterations, int) else None,
            training_seconds=float(seconds) if isinstance(seconds, int | float) else None,
            hardware=hardware if isinstance(hardware, Mapping) else {},
            properties=properties if isinstance(properties, Mapping) else {},
        )


def read_summary(folder: Path) -> dict[str, object]:
    """Values of a folder's ``summary.json``; empty where there is none, or it is no mapping.

    Raises:
        DataError: the file cannot be read.
    """
    path = folder / SUMMARY
    stored = read_json(path) if path.is_file() else {}
    return stored if isinstance(stored, dict) else {}


def text_of(stored: Mapping[str, object], key: str) -> str | None:
    """A value as text; None where there is none."""
    value = stored.get(key)
    return None if value is None else str(value)
