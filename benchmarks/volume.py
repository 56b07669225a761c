"""An independent judge of sampled cells: volume per atom from composition and group, fitted to a table of crystals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import ExtraTreesRegressor

from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.splits import split_by_formula
from gflownet_crystal.structures.elements import COVALENT_RADII, ELECTRONEGATIVITY
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs


@dataclass(frozen=True)
class VolumeRegressor:
    """Extra-trees on composition and group.

    Attributes:
        trees: predict the log of the volume per atom.
        validation_median_error: median relative error on formulas not fitted.
        validation_within_10_percent: share of them within 10 %.
    """

    trees: ExtraTreesRegressor
    validation_median_error: float
    validation_within_10_percent: float

    def predict(self, specs: CrystalSpec) -> NDArray[np.float64]:
        """Expected volume per atom (n,), Å^3; the specs' own lattice is not read."""
        return np.exp(self.trees.predict(_descriptors(specs)))

    def ratio(self, specs: CrystalSpec) -> NDArray[np.float64]:
        """Volume per atom over the expected one (n,): 1 for a realistic cell."""
        return specs.volume_per_atom.cpu().numpy() / self.predict(specs)


def fit_volume_regressor(
    table: pd.DataFrame, validation_share: float = 0.1, n_trees: int = 100, seed: int = 0
) -> VolumeRegressor:
    """Fit on a prepared table and state the error on formulas kept apart.

    Args:
        table: prepared rows; strained cells and blown-up records are left out.
        validation_share: share of formulas, for the stated error.
        n_trees: number of trees of the forest.
        seed: random seed of split and forest.

    Raises:
        DataError: the table has no labelled crystals.
    """
    rows = labelled_crystals(table, "the table")
    specs = frame_to_specs(rows)
    rows = rows[is_plausible(specs.fractions, specs.volume_per_atom)].reset_index(drop=True)
    fitted, held = (frame_to_specs(part) for part in split_by_formula(rows, validation_share, seed))
    trees = ExtraTreesRegressor(n_trees, max_features=0.4, min_samples_leaf=2, random_state=seed)
    trees.fit(_descriptors(fitted), np.log(fitted.volume_per_atom.numpy()))
    error = np.abs(np.exp(trees.predict(_descriptors(held))) / held.volume_per_atom.numpy() - 1)
    return VolumeRegressor(trees, float(np.median(error)), float((error < 0.1).mean()))


def _descriptors(specs: CrystalSpec) -> NDArray[np.float32]:
    """Fractions, weighted means and spreads of radius and electronegativity, group, and atoms in the cell."""
    fractions = specs.fractions.cpu()
    properties = torch.from_numpy(
        np.nan_to_num(np.stack([COVALENT_RADII, COVALENT_RADII**3, ELECTRONEGATIVITY], axis=1))
    )
    mean = fractions @ properties
    spread = (fractions @ properties**2 - mean**2).clamp(min=0).sqrt()
    counts = (
        torch.stack([specs.space_group, specs.n_atoms, (specs.composition > 0).sum(1)], dim=1).cpu().double()
    )
    result: NDArray[np.float32] = torch.cat([fractions, mean, spread, counts], dim=1).float().numpy()
    return result
