"""Training data of the energy networks: true cells, their strained copies, and compositions without structures."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.data.label_schemes import is_legacy, to_one_scheme
from gflownet_crystal.data.quality import is_plausible
from gflownet_crystal.data.sampled_rows import is_substituted
from gflownet_crystal.data.schema import ENERGY_COLUMN, LATTICE_COLUMNS
from gflownet_crystal.data.splits import formula_keys, reduced_formulas
from gflownet_crystal.models.spec_energy.features import Composition, composition_features, shape_features
from gflownet_crystal.structures.element_properties import element_properties
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.mlp_elastic import (
    Elasticity,
    complete_elasticity,
    fit_elasticity,
    random_strains,
    strain_measures,
)

_CHUNK = 16384


@dataclass(frozen=True)
class Packed:
    """Composition features from which batches are drawn.

    Attributes:
        features: features of all rows.
        start: (n + 1,) int64, first element of each row.
    """

    features: Composition
    start: Tensor

    @classmethod
    def of(cls, composition: Tensor, space_group: Tensor) -> Packed:
        """Features of (n, 119) counts and (n,) groups."""
        features = composition_features(composition, space_group)
        start = torch.searchsorted(features.row, torch.arange(len(space_group) + 1))
        return cls(features, start)

    def take(self, rows: Tensor) -> Composition:
        """The features of ``rows`` (m,) int64."""
        count = self.start[rows + 1] - self.start[rows]
        row = torch.repeat_interleave(torch.arange(len(rows)), count)
        first = torch.repeat_interleave(self.start[rows] - (count.cumsum(0) - count), count)
        index = first + torch.arange(len(row))
        f = self.features
        return Composition(
            f.fractions[rows],
            row,
            f.element[index],
            f.token[index],
            f.scalar[rows],
            f.space_group[rows],
            f.bucket[rows],
        )


def join(first: Composition, second: Composition) -> Composition:
    """The rows of ``first``, then those of ``second``."""
    names = ("fractions", "element", "token", "scalar", "space_group", "bucket")
    joined = {name: torch.cat([getattr(first, name), getattr(second, name)]) for name in names}
    return Composition(row=torch.cat([first.row, second.row + len(first)]), **joined)


@dataclass(frozen=True)
class Cells:
    """Cells of crystals: (m,) crystal, log volume per atom, (m, 15) shape, energy above the crystal's true cell."""

    crystal: Tensor
    log_volume: Tensor
    shape: Tensor
    energy: Tensor

    def __len__(self) -> int:
        return len(self.crystal)


@dataclass(frozen=True)
class TrainingData:
    """Everything that a training step draws from.

    Attributes:
        crystals: composition features of n crystals.
        specs: their true cells.
        energy: (n,) float32, eV/atom.
        weight: (n,) float32.
        relaxed: (n,) float32, 1 where the true cell is a minimum of the energy, 0 for substituted crystals; only the
            former teach volumes, shapes and strains.
        true: their true cells as ``Cells``, row i for crystal i.
        random: ``n_random`` strained copies of each crystal, crystal-major in each copy: row k n + i.
        measured: cells with potential energies, sorted by crystal.
        measured_start: (n + 1,) int64 first measured cell of each crystal.
        compositions: features of rows without structure.
        composition_energy: their labels, float32.
        formula_key, composition_formula_key: evenly spread numbers (n,) int64 of the reduced formulas of both.
        n_random: copies in ``random``.
    """

    crystals: Packed
    specs: CrystalSpec
    energy: Tensor
    weight: Tensor
    relaxed: Tensor
    true: Cells
    random: Cells
    measured: Cells
    measured_start: Tensor
    compositions: Packed
    composition_energy: Tensor
    formula_key: Tensor
    composition_formula_key: Tensor
    n_random: int


def build_training_data(
    table: pd.DataFrame, legacy_weight: float = 1.2, n_random: int = 4, seed: int = 0
) -> TrainingData:
    """Turn prepared rows, validation formulas already dropped, into training tensors.

    Args:
        table: prepared rows: true cells, strained cells, rows without lattice.
        legacy_weight: weight of labels of the earlier correction scheme, which are of less stable crystals.
        n_random: randomly strained copies of each crystal.
        seed: random seed of strains and forests.
    """
    table = to_one_scheme(table[np.isfinite(table[ENERGY_COLUMN].to_numpy(dtype=np.float64))])
    if "delta_energy_per_atom" not in table.columns:
        table = table.assign(delta_energy_per_atom=np.nan)
    has_cell = table[LATTICE_COLUMNS[0]].notna().to_numpy()
    strained = (table["strain"] != "").to_numpy()
    true_rows = table[has_cell & ~strained].reset_index(drop=True)
    specs = frame_to_specs(true_rows)
    plausible = is_plausible(specs.fractions, specs.volume_per_atom)
    known = _formula_and_group(true_rows)
    loose = table[~has_cell].reset_index(drop=True)
    loose = loose[~np.isin(_formula_and_group(loose), known)].reset_index(drop=True)
    true_rows, specs = true_rows[plausible].reset_index(drop=True), specs[torch.from_numpy(plausible)]
    n = len(true_rows)
    rng = np.random.default_rng(seed)
    true = _cells(specs, torch.arange(n), torch.zeros(n))
    measured, elasticity = _measured_cells(table[has_cell & strained], true_rows, specs)
    elasticity = complete_elasticity(elasticity, _forest_features(specs), seed)
    order = torch.argsort(measured.crystal, stable=True)
    measured = Cells(
        *(getattr(measured, name)[order] for name in ("crystal", "log_volume", "shape", "energy"))
    )
    measured = _recentred(measured, true, elasticity)
    weight = np.where(is_legacy(true_rows["energy_source"]), legacy_weight, 1.0)
    return TrainingData(
        crystals=Packed.of(specs.composition, specs.space_group),
        specs=specs,
        energy=torch.from_numpy(true_rows[ENERGY_COLUMN].to_numpy(dtype=np.float32).copy()),
        weight=torch.from_numpy(weight).float(),
        relaxed=torch.from_numpy(~is_substituted(true_rows)).float(),
        true=true,
        random=_random_cells(specs, elasticity, n_random, rng),
        measured=measured,
        measured_start=torch.searchsorted(measured.crystal, torch.arange(n + 1)),
        compositions=Packed.of(
            text_to_composition(loose[FORMULA].tolist()),
            torch.from_numpy(loose[SPACE_GROUP].to_numpy(dtype=np.int64).copy()),
        ),
        composition_energy=torch.from_numpy(loose[ENERGY_COLUMN].to_numpy(dtype=np.float32).copy()),
        formula_key=_formula_key(true_rows),
        composition_formula_key=_formula_key(loose),
        n_random=n_random,
    )


def geometry(specs: CrystalSpec) -> tuple[Tensor, Tensor]:
    """Log volume per atom (n,) and shape (n, 15) in float32, in chunks."""
    parts = [shape_features(specs[start : start + _CHUNK]) for start in range(0, max(len(specs), 1), _CHUNK)]
    return torch.cat([part[0] for part in parts]).float(), torch.cat([part[1] for part in parts]).float()


def parameters_of(specs: CrystalSpec) -> NDArray[np.float64]:
    """Lattice parameters (n, 6), Å and degrees."""
    return torch.cat([specs.lengths, specs.angles], dim=1).numpy()


def with_parameters(specs: CrystalSpec, parameters: NDArray[np.float64]) -> CrystalSpec:
    """The specs with other cells."""
    lattice = torch.from_numpy(np.ascontiguousarray(parameters))
    return CrystalSpec(
        specs.space_group, specs.composition, lattice[:, :3].contiguous(), lattice[:, 3:].contiguous()
    )


def _cells(specs: CrystalSpec, crystal: Tensor, energy: Tensor) -> Cells:
    log_volume, shape = geometry(specs)
    return Cells(crystal, log_volume, shape, energy.float())


def _formula_and_group(table: pd.DataFrame) -> NDArray[np.str_]:
    if table.empty:
        return np.zeros(0, dtype=np.str_)
    return np.char.add(reduced_formulas(table), table[SPACE_GROUP].to_numpy(dtype=np.int64).astype(np.str_))


def _formula_key(table: pd.DataFrame) -> Tensor:
    if table.empty:
        return torch.zeros(0, dtype=torch.int64)
    return torch.from_numpy(formula_keys(reduced_formulas(table), seed=1))


def _measured_cells(
    strained: pd.DataFrame, true_rows: pd.DataFrame, specs: CrystalSpec
) -> tuple[Cells, Elasticity]:
    """Strained cells whose crystal is trained on, and the response curves fitted to them."""
    index = pd.Series(np.arange(len(true_rows)), index=true_rows["material_id"].to_numpy())
    index = index[~index.index.duplicated()]
    strained = strained[strained["material_id"].isin(index.index) & (strained["strain"] != "reference")]
    crystal = index[strained["material_id"]].to_numpy(dtype=np.int64).copy()
    parameters = strained[list(LATTICE_COLUMNS)].to_numpy(dtype=np.float64)
    cost = strained["delta_energy_per_atom"].to_numpy(dtype=np.float64)
    volume, shear = strain_measures(parameters_of(specs)[crystal], parameters)
    elasticity = fit_elasticity(len(specs), crystal, volume, shear, cost)
    keep = torch.from_numpy((cost > -0.3) & (cost < 4.5))
    rows = torch.tensor(crystal)[keep]
    cells = _cells(with_parameters(specs[rows], parameters[keep.numpy()]), rows, torch.tensor(cost)[keep])
    return cells, elasticity


def _recentred(measured: Cells, true: Cells, elasticity: Elasticity) -> Cells:
    """Energies of isotropically scaled cells from the fitted curve, whose minimum is the true cell."""
    volume = measured.log_volume - true.log_volume[measured.crystal]
    isotropic = (measured.shape - true.shape[measured.crystal]).abs().amax(1) < 1e-3
    rows = measured.crystal.numpy()
    curve = elasticity.energy(rows, volume.double().numpy(), np.zeros(len(measured)))
    energy = torch.where(isotropic, torch.from_numpy(curve).float(), measured.energy)
    return Cells(measured.crystal, measured.log_volume, measured.shape, energy)


def _random_cells(specs: CrystalSpec, elasticity: Elasticity, copies: int, rng: np.random.Generator) -> Cells:
    truth, group = parameters_of(specs), specs.space_group.numpy()
    parts = []
    for _ in range(copies):
        parameters = random_strains(truth, group, rng)
        volume, shear = strain_measures(truth, parameters)
        rows = np.arange(len(specs))
        energy = torch.from_numpy(elasticity.energy(rows, volume, shear))
        parts.append(_cells(with_parameters(specs, parameters), torch.from_numpy(rows), energy))
    names = ("crystal", "log_volume", "shape", "energy")
    return Cells(*(torch.cat([getattr(part, name) for part in parts]) for name in names))


def _forest_features(specs: CrystalSpec) -> NDArray[np.float32]:
    fractions, properties = specs.fractions.float(), element_properties()
    mean = fractions @ properties
    spread = (fractions @ properties**2 - mean**2).clamp(min=0).sqrt()
    columns = [fractions, mean, spread, specs.space_group[:, None].float(), geometry(specs)[0][:, None]]
    return torch.cat(columns, dim=1).numpy()
