"""The contract of a trainable proxy: prepared table in, weights and their model card out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar, TypeVar

import numpy as np
import pandas as pd
from torch import Tensor

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, InnerShare, Positive
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.sampled_rows import only_known
from gflownet_crystal.data.splits import in_holdout, is_validation, reduced_formulas, true_cells
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.training.base import Training, take_all_steps
from gflownet_crystal.training.proxies.mlp_validation import error_figures
from gflownet_crystal.weights import save_weights

Run = Callable[[Training], None]
"""Takes the steps of a training that are left."""

_Settings = TypeVar("_Settings")


@dataclass(frozen=True)
class Trained:
    """Result of a training.

    Attributes:
        tensors: named weights.
        card: fields for the card: kind, property, unit, hyperparameters, validation figures.
        half: whether float16 loses nothing.
        beside: further files beside the weights, by the suffix added to the name of the weights.
    """

    tensors: dict[str, Tensor]
    card: dict[str, object] = field(default_factory=dict)
    half: bool = True
    beside: Mapping[str, Trained] = field(default_factory=dict)

    def save(self, path: Path, about: Mapping[str, object]) -> None:
        """Write the weights, their card and the files that belong to them.

        Args:
            path: the ``.safetensors`` file.
            about: further fields of all cards.

        Raises:
            DataError: a file cannot be written.
        """
        # the weights come last: whoever finds them finds the others too
        for name, other in self.beside.items():
            other.save(path.with_stem(f"{path.stem}_{name}"), about)
        save_weights(path, self.tensors, {**self.card, **about}, half=self.half)


@dataclass(frozen=True)
class RecipeSettings(CheckedFields):
    """Hyperparameters that recipes have in common; a subclass has its own defaults.

    Attributes:
        holdout: share of reduced formulas held out, in addition to MP-20's val.
        batch_size: number of rows a step.
        learning_rate: peak learning rate of Adam.
        seed: random seed of weights and batches.
    """

    place = "training"

    holdout: InnerShare = 0.04
    batch_size: Count = 1024
    learning_rate: Positive = 2e-3
    seed: int = 0


def recipe_settings(kind: type[_Settings], values: Mapping[str, object]) -> _Settings:
    """Hyperparameters of a recipe from its keyword arguments.

    Args:
        kind: dataclass of the hyperparameters.
        values: values by name; missing ones keep their defaults.

    Raises:
        ConfigError: a name is unknown, or a value is out of range.
    """
    try:
        return kind(**values)
    except TypeError as error:
        raise ConfigError(f"training: {error}; see {kind.__name__} for the allowed keys") from error


class Recipe(ABC):
    """Recipe of a proxy's weights; a subclass states ``kind`` and writes ``fit``.

    Attributes:
        labels: columns of numbers that it needs in addition to those of every prepared table.
        atoms: whether it needs the stored cells with their atoms.
    """

    kind: ClassVar[str]
    labels: tuple[str, ...] = ()
    atoms: ClassVar[bool] = False

    def rows(self, table: pd.DataFrame) -> pd.DataFrame:
        """The rows of a prepared table that are learned from or kept apart: known crystals, unless a subclass says so.

        Args:
            table: prepared rows.
        """
        return only_known(table)

    @abstractmethod
    def fit(self, table: pd.DataFrame, run: Run = take_all_steps) -> Trained:
        """Train on the rows of a prepared table, keeping its validation rows apart.

        Args:
            table: prepared rows.
            run: takes the steps; it may go on from where an earlier training of the same rows stood.
        """

    @abstractmethod
    def proxy(self, trained: Trained) -> Proxy:
        """The proxy that the weights make."""

    def test(self, trained: Trained, tables: Mapping[str, pd.DataFrame]) -> dict[str, object]:
        """Errors on tables that were not trained on, by name."""
        proxy = self.proxy(trained)
        return {name: error_figures(proxy, labelled_crystals(table, name)) for name, table in tables.items()}


@dataclass(frozen=True)
class Parts:
    """A prepared table in three parts without a common reduced formula between training and the others.

    Attributes:
        train: rows to train on, strained cells and rows without lattice included.
        validation: true cells of MP-20's val (or of the held-out formulas where a table has no such rows).
        holdout: other rows of the held-out formulas, strained cells included.
    """

    train: pd.DataFrame
    validation: pd.DataFrame
    holdout: pd.DataFrame


def split_table(table: pd.DataFrame, holdout: float, seed: int = 0) -> Parts:
    """Split by reduced formula.

    Args:
        table: prepared rows.
        holdout: share of all formulas held out in addition to MP-20's val.
        seed: random seed of the choice of formulas.

    Raises:
        DataError: nothing is left to train or to validate on.
    """
    formulas = reduced_formulas(table)
    has_cell = true_cells(table)
    held = in_holdout(formulas, holdout, seed)
    validation = is_validation(table) & has_cell
    if not validation.any():
        validation = held & has_cell
    banned = np.isin(formulas, np.unique(formulas[validation]))
    train = ~banned & ~held
    if not (train & has_cell).any() or not validation.any():
        raise DataError(
            f"{int((train & has_cell).sum())} crystals to train and {int(validation.sum())} to validate on; "
            "give more data, a greater holdout, or rows with mp20_split val"
        )
    return Parts(
        table[train].reset_index(drop=True),
        table[validation].reset_index(drop=True),
        table[held & ~banned].reset_index(drop=True),
    )
