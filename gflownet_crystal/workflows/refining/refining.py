"""Learning from samples in rounds: sample, place atoms, label, measure, train the spec proxy, train the sampler.

A round's folder keeps each stage once it is done, and a stage that is there is not done again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import read_json, write_json
from gflownet_crystal.common.run_schema import SAMPLES, STRUCTURES, WEIGHTS
from gflownet_crystal.common.tables import read_parquet, read_parquets, write_parquet
from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED
from gflownet_crystal.data.splits import is_validation, reduced_formulas
from gflownet_crystal.proxies.hull import NEAR_HULL, Hull
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs, write_specs
from gflownet_crystal.training.proxies.mlp_validation import error_figures
from gflownet_crystal.training.proxies.placed_figures import HIGHEST, placed_figures
from gflownet_crystal.workflows.refining.figures import Agreement, RoundFigures, round_counts
from gflownet_crystal.workflows.refining.labels import (
    HELD_OUT,
    LABEL,
    RELAXED,
    distinct_samples,
    in_one_scheme,
    is_believed,
    is_held_out,
    sampled_rows,
    seed_of,
    training_table,
    validation_rows,
)
from gflownet_crystal.workflows.refining.models import (
    HELD_LABELS,
    LABELS,
    RUN,
    STABLE,
    RoundModels,
    is_written,
    left_by,
)
from gflownet_crystal.workflows.refining.parts import Engines, Learned
from gflownet_crystal.workflows.settings.refine import Refining

FIGURES = "figures.json"
_SUFFIX = "-relaxed"


@dataclass(frozen=True)
class Refinement:
    """A refinement in a folder.

    Attributes:
        out: the folder.
        settings: settings of the refinement.
        engines: do the work.
        teacher: name of the model that labels placed structures; None for the one that chose them.
        source: name of the labels.
        energies: name of the model that chooses among structures in the first round.
        hull: distances are measured from.
        tell: takes a line about each stage.
        known: prepared table of further known crystals to train on; None for none.
        earlier: further labelled specs to train on, of earlier samplers; None for none.
        highest: eV/atom above the hull; in figures, energies above it count as it.
        about: fields for the cards of the spec proxy's weights.
    """

    out: Path
    settings: Refining
    engines: Engines
    teacher: str | None
    source: str
    energies: str
    hull: Hull
    tell: Callable[[str], None]
    known: pd.DataFrame | None = None
    earlier: pd.DataFrame | None = None
    highest: float = HIGHEST
    about: Mapping[str, object] = field(default_factory=dict)

    def go(self, start: Learned) -> tuple[list[RoundFigures], Learned]:
        """All rounds that the folder lacks.

        Args:
            start: inputs of the first round.

        Returns:
            The figures of each round, and the state that the last one leaves.
        """
        learned, rounds = start, list[RoundFigures]()
        for number in range(1, self.settings.rounds + 1):
            folder = self.folder(number)
            if not (folder / FIGURES).is_file():
                write_json(folder / FIGURES, self._round(number, learned))
            rounds.append(read_json(folder / FIGURES))
            learned = left_by(folder, learned, self.settings)
        return rounds, learned

    def folder(self, number: int) -> Path:
        """Of a round."""
        return self.out / f"round-{number}"

    def _round(self, number: int, learned: Learned) -> RoundFigures:
        """Go through the stages that the folder lacks; the figures of the round."""
        folder, of_round = self.folder(number), f"round {number} of {self.settings.rounds}"
        left, models = (
            left_by(folder, learned, self.settings),
            RoundModels(self.engines, self._until(number), learned),
        )
        self.tell(f"{of_round}: samples of {learned.run}, their atoms and labels")
        samples = self._samples(number, learned)
        made = self._structures(folder, samples, learned)
        self._label(number, samples, made)
        held = read_parquet(folder / HELD_LABELS)
        before = self._proxy_figures(learned.proxy, held)
        known_before = self._known_mae(learned.proxy)
        self.tell(
            f"{of_round}: training the spec proxy; MAE {before['mae']:.3f} eV/atom on {before['n']} held out"
        )
        trained_on = self._train_proxy(
            number, learned, {"before": before, "mp20_val_mae_before": known_before}
        )
        figures: RoundFigures = {
            "round": number,
            "labels_by": self.source,
            "samples": round_counts(folder / LABELS, samples, made),
            "labelled_within_0.1": self._near_hull(folder),
            "trained_on": trained_on,
            "proxy": {"before": before, "after": self._proxy_figures(left.proxy, held)},
        }
        if known_before is not None:
            figures["mp20_val_mae"] = {"before": known_before, "after": self._known_mae(left.proxy)}
        if self.settings.energy_model:
            models.train_energies()
        if self.teacher is not None:
            figures["energies"] = self._energy_figures(learned, left, held)
        if self.settings.prior:
            models.train_prior()
        if self.settings.generator_model and self.known is not None:
            figures["generator"] = models.train_generator(self.known, self.settings.volume_tolerance)
        found = [one / SAMPLES for one in self._until(number)]
        self.tell(f"{of_round}: training the sampler; MAE now {figures['proxy']['after']['mae']:.3f} eV/atom")
        self.engines.train_sampler(folder / RUN, learned.run, left, found)
        return figures

    def _until(self, number: int) -> list[Path]:
        """Folders of the rounds so far."""
        return [self.folder(one) for one in range(1, number + 1)]

    def _samples(self, number: int, learned: Learned) -> pd.DataFrame:
        path, settings = self.folder(number) / SAMPLES, self.settings
        if not path.is_file():
            draw = self.engines.sampler(learned.run)
            frame = distinct_samples(
                draw, settings.n, settings.seed, settings.held_out, settings.volume_tolerance, number
            )
            write_specs(path, frame)
        return read_specs(path)

    def _structures(self, folder: Path, samples: pd.DataFrame, learned: Learned) -> pd.DataFrame:
        """Structures of the samples with their labels."""
        path = folder / STRUCTURES
        if not path.is_file():
            made = self.engines.place(folder, samples, learned)
            if made.empty:
                tried = f"none of {len(samples)} samples got atoms"
                raise DataError(f"{tried}: draw more with n=, or give more tries=")
            label = made[ENERGY_COLUMN].to_numpy(dtype=np.float64)
            if self.teacher is not None:
                label = self.engines.judge(self.teacher)(frame_to_structures(made)).cpu().numpy()
            write_parquet(path, made.assign(**{LABEL: label}))
        return read_parquet(path)

    def _label(self, number: int, samples: pd.DataFrame, made: pd.DataFrame) -> None:
        """Write labelled rows, apart those that are held out and those that are stable."""
        folder = self.folder(number)
        if (folder / LABELS).is_file():
            return
        believed = made[is_believed(made[LABEL].to_numpy(dtype=np.float64))].reset_index(drop=True)
        rows = sampled_rows(
            samples, believed, believed[LABEL].to_numpy(dtype=np.float64), self.source, number
        )
        held = samples[HELD_OUT].to_numpy(dtype=np.bool_)[believed["row"].to_numpy(dtype=np.int64)]
        if not held.any() or held.all():
            raise DataError(
                f"{int(held.sum())} of {len(rows)} labelled samples are held out: give a larger n, or another held_out"
            )
        own = rows[~held].reset_index(drop=True)
        labels = pd.concat([own, *self._relaxed(folder, own)], ignore_index=True)
        write_parquet(folder / HELD_LABELS, rows[held].reset_index(drop=True))
        stable = labels[self._above_hull(labels) <= self.settings.stable]
        # a relaxed crystal stands for the one that it was made of
        stable = stable[~(stable["material_id"] + _SUFFIX).isin(stable["material_id"])]
        if len(stable):
            write_parquet(folder / STABLE, stable.reset_index(drop=True))
        # written last: the others are there once it is
        write_parquet(folder / LABELS, labels)

    def _relaxed(self, folder: Path, own: pd.DataFrame) -> list[pd.DataFrame]:
        """Rows of the best labelled crystals after relaxation; no table where none are relaxed."""
        if not self.settings.relax:
            return []
        best = own.iloc[np.argsort(self._above_hull(own), kind="stable")[: self.settings.relax]]
        names = [f"{name}{_SUFFIX}" for name in best["material_id"]]
        rows = self.engines.relax(folder / RELAXED, names, frame_to_structures(best))
        rows = rows[is_believed(rows[ENERGY_COLUMN].to_numpy(dtype=np.float64))]
        source = {"structure_source": RELAXED, "energy_source": self.source, "mp20_split": "none"}
        return [rows.assign(**source)] if len(rows) else []

    def _above_hull(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        """Distances (n,) of labels to the hull, eV/atom."""
        return rows[ENERGY_COLUMN].to_numpy(dtype=np.float64) - self._hull_energy(rows)

    def _hull_energy(self, rows: pd.DataFrame) -> NDArray[np.float64]:
        return np.asarray(self.hull.hull_energy(frame_to_specs(rows).composition).cpu().numpy())

    def _proxy_figures(self, weights: str | None, held: pd.DataFrame) -> Agreement:
        """Figures of the spec proxy; apart, where labels of before are there, of formulas that these do not hold."""
        predicted = self.engines.proxy(weights)(frame_to_specs(held)).value.numpy()
        figures = self._agreement(predicted, held)
        if self.earlier is None:
            return figures
        new = ~np.isin(reduced_formulas(held), reduced_formulas(self.earlier))
        apart = self._agreement(predicted[new], held[new].reset_index(drop=True)) if new.any() else {"n": 0}
        return {**figures, "new_formulas": apart}

    def _agreement(self, predicted: NDArray[np.float64], held: pd.DataFrame) -> Agreement:
        label = held[ENERGY_COLUMN].to_numpy(dtype=np.float64)
        return placed_figures(predicted, label, self._hull_energy(held), self.highest)

    def _known_mae(self, weights: str | None) -> float | None:
        """MAE on MP-20's val, eV/atom; None where the known crystals hold none of it."""
        rows = validation_rows(self.known)
        if rows is None:
            return None
        return round(float(str(error_figures(self.engines.proxy(weights), rows)["mae"])), 5)

    def _train_proxy(self, number: int, learned: Learned, measured: Mapping[str, object]) -> dict[str, int]:
        """Train the spec proxy; how many rows of which kind it is trained on."""
        folder, settings = self.folder(number), self.settings
        labels, held = (
            [read_parquet(one / name) for one in self._until(number)] for name in (LABELS, HELD_LABELS)
        )
        own, recipe = pd.concat(labels, ignore_index=True), self.engines.recipe(learned.proxy)
        table = training_table(self.known, labels, held, settings.replay, seed_of(settings.seed, number))
        earlier = self._earlier()
        learned_from = recipe.rows(table[~is_validation(table)])
        told = {"labelled": len(recipe.rows(own)), "earlier_labels": len(earlier)}
        told["known"] = len(learned_from) - told["labelled"]
        if len(earlier):
            table = pd.concat([*[table] * settings.own_weight, earlier], ignore_index=True)
        if not is_written(folder / WEIGHTS):
            trained = recipe.fit(table, self.engines.steps(folder / "proxy"))
            refined = {"round": number, "labels_by": self.source, **told, "held_out_samples": dict(measured)}
            trained.save(folder / WEIGHTS, {**self.about, "refined": refined})
        return told

    def _earlier(self) -> pd.DataFrame:
        """Earlier labels for the training, in the scheme of the new ones, without held-out formulas."""
        if self.earlier is None:
            return pd.DataFrame()
        settings, first = self.settings, self.folder(1)
        made, samples = read_parquet(first / STRUCTURES), read_specs(first / SAMPLES)
        held = samples[HELD_OUT].to_numpy(dtype=np.bool_)[made["row"].to_numpy(dtype=np.int64)]
        difference = (made[LABEL] - made[ENERGY_COLUMN]).to_numpy(dtype=np.float64)[~held]
        rows = in_one_scheme(self.earlier, self.source, self.energies, difference)
        return rows[~is_held_out(rows, settings.held_out, settings.seed)].reset_index(drop=True)

    def _energy_figures(self, learned: Learned, left: Learned, held: pd.DataFrame) -> dict[str, Agreement]:
        """Figures of the energy network against the teacher on held-out samples, before and after a training."""
        models = {"before": learned.energies} | (
            {"after": left.energies} if self.settings.energy_model else {}
        )
        structures = frame_to_structures(held)
        return {
            when: self._agreement(self.engines.judge(model)(structures).cpu().numpy(), held)
            for when, model in models.items()
        }

    def _near_hull(self, folder: Path) -> float:
        """Share of labelled samples, as they were placed, within 0.1 eV/atom of the hull."""
        rows = read_parquets(folder / name for name in (LABELS, HELD_LABELS))
        rows = rows[rows["structure_source"] == SAMPLED].reset_index(drop=True)
        return round(float((self._above_hull(rows) <= NEAR_HULL).mean()), 4)
