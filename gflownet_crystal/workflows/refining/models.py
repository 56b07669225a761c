"""The other models of a refinement, in addition to spec proxy and sampler: their crystals and their training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd

from gflownet_crystal.common.files import read_json
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.common.tables import read_parquet, write_parquet
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.candidates.shortlist import distinct_rows
from gflownet_crystal.workflows.refining.labels import RELAXED
from gflownet_crystal.workflows.refining.parts import Engines, Learned
from gflownet_crystal.workflows.settings.refine import Refining

LABELS, HELD_LABELS, STABLE, FINDS = "labels.parquet", "held_out.parquet", "stable.parquet", "finds.parquet"
ENERGIES, PRIOR = "energies.safetensors", "prior.safetensors"
GENERATOR, RANKING, RUN = "generator.safetensors", "ranking.safetensors", "run"


@dataclass(frozen=True)
class RoundModels:
    """Trainings of a round that its folder lacks.

    Attributes:
        engines: do the work.
        folders: folders of the rounds so far, of which the last is this one.
        learned: inputs of the round.
    """

    engines: Engines
    folders: Sequence[Path]
    learned: Learned

    @property
    def folder(self) -> Path:
        """Of the round."""
        return self.folders[-1]

    def train_energies(self) -> None:
        """Train the energy network on the labels of all rounds."""
        out = self.folder / ENERGIES
        if not is_written(out):
            labels, apart = ([one / name for one in self.folders] for name in (LABELS, HELD_LABELS))
            self.engines.train_energies(self.folder / "energies", out, self.learned.energies, labels, apart)

    def train_prior(self) -> None:
        """Train the prior on the stable crystals of all rounds."""
        out = self.folder / PRIOR
        if not is_written(out):
            stable = [path for one in self.folders if (path := one / STABLE).is_file()]
            self.engines.train_prior(self.folder / "prior", out, self.learned.prior, stable)

    def train_generator(self, known: pd.DataFrame, volume_tolerance: float) -> Mapping[str, object]:
        """Train the generator and its ranking on the finds of all rounds; without any, they stay as they are.

        Args:
            known: prepared table of known crystals.
            volume_tolerance: crystals of one formula and group whose volumes differ by less, relative, are duplicates.

        Returns:
            Number of finds, and of each model the number of crystals and the figures before and after.
        """
        path, start = self.folder / FINDS, {GENERATOR: self.learned.generator, RANKING: self.learned.ranking}
        if not path.is_file():
            write_parquet(path, self._finds(known, volume_tolerance))
        finds = len(read_parquet(path))
        figures: dict[str, object] = {"finds": finds}
        apart = [one / HELD_LABELS for one in self.folders]
        for name, weights in start.items():
            if not finds or weights is None:
                continue
            out = self.folder / name
            if not is_written(out):
                self.engines.train_generator(self.folder / out.stem, out, weights, path, apart)
            card = read_json(out.with_suffix(".json"))
            told = {"before": card["start"]["validation"], "after": card["validation"]}
            figures[out.stem] = {"crystals": card["structures"], **told}
        return figures

    def _finds(self, known: pd.DataFrame, volume_tolerance: float) -> pd.DataFrame:
        """Distinct relaxed crystals of the stable ones of all rounds, whose formulas are not known."""
        stable = [read_parquet(path) for one in self.folders if (path := one / STABLE).is_file()]
        rows = pd.concat(stable, ignore_index=True) if stable else pd.DataFrame({"structure_source": []})
        rows = rows[rows["structure_source"] == RELAXED].reset_index(drop=True)
        if rows.empty:
            return rows
        specs = frame_to_specs(rows)
        listed, _ = KnownCompounds.from_weights().look_up(specs.composition, specs.space_group)
        new = ~listed.numpy() & ~np.isin(reduced_formulas(rows), reduced_formulas(known))
        rows = rows[new].reset_index(drop=True)
        return rows.iloc[distinct_rows(rows, volume_tolerance)].reset_index(drop=True)


def left_by(folder: Path, learned: Learned, settings: Refining) -> Learned:
    """State that a round leaves to the next.

    Args:
        folder: folder of the round.
        learned: inputs of the round.
        settings: settings of the refinement.
    """
    left = replace(learned, run=str(folder / RUN), proxy=str(folder / WEIGHTS))
    if settings.energy_model:
        left = replace(left, energies=str(folder / ENERGIES))
    if settings.prior:
        left = replace(left, prior=str(folder / PRIOR))
    # a round without finds has trained neither
    trained = {
        Path(name).stem: str(folder / name) for name in (GENERATOR, RANKING) if is_written(folder / name)
    }
    return replace(left, **trained)


def is_written(weights: Path) -> bool:
    """Whether a weights file is complete."""
    # the card is written after its weights
    return weights.is_file() and weights.with_suffix(".json").is_file()
