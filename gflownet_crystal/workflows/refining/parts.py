"""Parts of a refinement: the inputs of a round, and the work that other verbs do on their own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

import pandas as pd
from torch import Tensor

from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.proxies.recipe import Recipe, Run
from gflownet_crystal.workflows.refining.labels import Draw

Judge = Callable[[StructureBatch], Tensor]
"""Formation energies (n,) float64 of structures, eV/atom, NaN where there is none."""


@dataclass(frozen=True)
class Learned:
    """Models and data that a round begins with and leaves to the next.

    Attributes:
        run: run folder, or prior, of the sampler.
        proxy: weights that the spec proxy has learned; None where it has learned none yet.
        energies: energy model that chooses among the placed structures, and labels them without a teacher.
        prior: weights of the prior; None for that of the run.
        generator: weights of the generator, where it is trained; None for those that it is configured with.
        ranking: weights of its ranking of assignments, likewise.
    """

    run: str
    proxy: str | None
    energies: str
    prior: str | None = None
    generator: str | None = None
    ranking: str | None = None


class Engines(Protocol):
    """The work of a refinement that other verbs do alone; each call resumes from its folder."""

    def sampler(self, run: str) -> Draw:
        """A trained sampler, opened."""

    def place(self, folder: Path, samples: pd.DataFrame, learned: Learned) -> pd.DataFrame:
        """Structures of samples in the columns of the package's schema, with ``row`` and energies by a model."""

    def judge(self, energies: str) -> Judge:
        """An energy model, opened."""

    def relax(self, folder: Path, names: Sequence[str], structures: StructureBatch) -> pd.DataFrame:
        """Prepared rows, with atoms, of structures after some steps; those that fail have none."""

    def proxy(self, weights: str | None) -> Proxy:
        """The spec proxy with the weights that it has learned."""

    def recipe(self, start: str | None) -> Recipe:
        """Recipe of the spec proxy, from earlier weights where it is not trained from scratch."""

    def steps(self, folder: Path) -> Run:
        """Takes the steps of the spec proxy's training."""

    def train_energies(
        self, folder: Path, out: Path, start: str, labels: Sequence[Path], held_out: Sequence[Path]
    ) -> None:
        """Train the energy network from earlier weights on labels and known crystals but for held-out formulas."""

    def train_prior(self, folder: Path, out: Path, start: str | None, stable: Sequence[Path]) -> None:
        """Train the prior from earlier weights on known crystals and stable ones."""

    def train_generator(
        self, folder: Path, out: Path, start: str, finds: Path, held_out: Sequence[Path]
    ) -> None:
        """Train a generator, or a ranking, as ``start`` is, on finds and known crystals but for held-out formulas."""

    def train_sampler(self, folder: Path, start: str, learned: Learned, found: Sequence[Path]) -> None:
        """Train the sampler from an earlier one, with the newest weights; ``found`` are samples of all rounds."""
