"""Validation of an energy proxy: errors at true cells, of volume and shape, and calibration of its deviations."""

from __future__ import annotations

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.data.label_schemes import needs_conversion, to_one_scheme
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs

SCALES = np.linspace(0.85, 1.25, 81)
"""Length ratios along which the minimum is sought."""

ATOM_CLASSES = {"1-20": 20, "21-40": 40, "41-60": 60, "more than 60": np.inf}
"""Classes of numbers of atoms in the primitive cell, each with the largest number."""

MINIMUM_TOLERANCE = 0.03
AXIAL_FACTORS = (0.8, 1.25)
BETA_SHIFTS = (-12.0, 12.0)


def error_figures(proxy: Proxy, table: pd.DataFrame) -> dict[str, object]:
    """n, MAE, RMSE (eV/atom), MAE by energy source and by size, and the share of labels within two standard deviations.

    Where labels carry the corrections of before 2020, ``mae_in_one_scheme`` is the MAE after bringing them to the
    scheme of MaterialsProject2020, which this package's proxies predict. ``mae_by_atoms``, by the number of atoms in
    the primitive cell, is of labels in this scheme.

    Args:
        proxy: predicts ``formation_energy_per_atom`` of specs.
        table: prepared rows with a lattice and a label.
    """
    specs = frame_to_specs(table)
    return prediction_figures(proxy(specs), table, specs)


def _root_mean_square(error: NDArray[np.float64]) -> float:
    """Of errors that may be too large for their squares; NaN ones are left out."""
    known = error[~np.isnan(error)]
    largest = known.max(initial=0.0)
    if not len(known) or largest == 0.0 or not np.isfinite(largest):
        return float(largest) if len(known) else float("nan")
    return float(largest * np.sqrt(np.mean((known / largest) ** 2)))


def prediction_figures(prediction: Prediction, table: pd.DataFrame, specs: CrystalSpec) -> dict[str, object]:
    """The figures of :func:`error_figures` from the predictions of a proxy for the rows of a table.

    ``n_unusable`` counts those that took the proxy's penalty, where there are any; they are among the n. ``n_unplaced``
    counts those of them that a proxy of atoms found no atoms for.

    Args:
        prediction: prediction of n objects.
        table: n prepared rows with a label.
        specs: their specs.
    """
    labels = table[ENERGY_COLUMN].to_numpy(dtype=np.float64)
    error = np.abs(prediction.value.cpu().numpy() - labels)
    by_source = pd.Series(error).groupby(table["energy_source"].to_numpy()).mean()
    figures: dict[str, object] = {
        "n": len(table),
        "mae": float(pd.Series(error).mean()),
        "rmse": _root_mean_square(error),
        "mae_by_energy_source": {str(name): float(value) for name, value in by_source.items()},
    }
    in_one_scheme = error
    if needs_conversion(table).any():
        converted = to_one_scheme(table)[ENERGY_COLUMN].to_numpy(dtype=np.float64)
        in_one_scheme = np.abs(prediction.value.cpu().numpy() - converted)
        figures["mae_in_one_scheme"] = float(in_one_scheme.mean())
    figures["mae_by_atoms"] = _by_atoms(in_one_scheme, specs)
    if bool(prediction.penalised.any()):
        figures["n_unusable"] = int(prediction.penalised.sum())
        if prediction.unplaced is not None:
            figures["n_unplaced"] = int(prediction.unplaced.sum())
    deviation = prediction.std.cpu().numpy()
    if (deviation > 0).any():
        figures["within_2_std"] = float((error <= 2 * deviation).mean())
    return figures


def _by_atoms(error: NDArray[np.float64], specs: CrystalSpec) -> dict[str, float]:
    """Mean error of the specs of each class of atoms in the primitive cell that there are."""
    atoms = specs.n_primitive_atoms.cpu().numpy()
    classes = pd.cut(atoms, [0, *ATOM_CLASSES.values()], labels=list(ATOM_CLASSES))
    means = pd.Series(error).groupby(classes, observed=True).mean()
    return {str(name): float(value) for name, value in means.items()}


def scaled(specs: CrystalSpec, factor: float | Tensor) -> CrystalSpec:
    """The specs with all lengths times ``factor``, a number or (n, 1)."""
    return CrystalSpec(specs.space_group, specs.composition, specs.lengths * factor, specs.angles)


def minimum_along_scaling(proxy: Proxy, specs: CrystalSpec) -> NDArray[np.float64]:
    """Length ratio (n,) in SCALES at which each energy is lowest."""
    energies = np.stack([proxy(scaled(specs, float(factor))).value.cpu().numpy() for factor in SCALES])
    return SCALES[energies.argmin(axis=0)]


def with_axial_ratio(specs: CrystalSpec, factor: float) -> CrystalSpec:
    """The specs with c/a times ``factor`` and b/a kept, at constant volume."""
    stretch = torch.tensor([factor ** (-1 / 3), factor ** (-1 / 3), factor ** (2 / 3)], dtype=torch.float64)
    return CrystalSpec(
        specs.space_group, specs.composition, specs.lengths * stretch.to(specs.device), specs.angles
    )


def with_beta_shift(specs: CrystalSpec, degrees: float) -> CrystalSpec:
    """Monoclinic specs with beta shifted, at constant volume."""
    angles = specs.angles.clone()
    angles[:, 1] += degrees
    bent = CrystalSpec(specs.space_group, specs.composition, specs.lengths, angles)
    return scaled(bent, ((specs.volume / bent.volume) ** (1 / 3))[:, None])


def shape_response(proxy: Proxy, specs: CrystalSpec) -> dict[str, float]:
    """Share of cases in which a change of shape at constant volume raises the energy, by kind of change."""
    axial = specs[(specs.space_group >= 16) & (specs.space_group <= 194)]
    monoclinic = specs[(specs.space_group >= 3) & (specs.space_group <= 15)]
    shares = {}
    for name, part, changes in (
        ("c_over_a", axial, [with_axial_ratio(axial, factor) for factor in AXIAL_FACTORS]),
        ("beta", monoclinic, [with_beta_shift(monoclinic, shift) for shift in BETA_SHIFTS]),
    ):
        if len(part):
            truth = proxy(part).value
            raised = torch.stack([proxy(changed).value > truth for changed in changes])
            shares[name] = float(raised.double().mean())
    return shares


def lattice_figures(proxy: Proxy, specs: CrystalSpec) -> dict[str, float]:
    """Share of crystals whose minimum along isotropic scaling is within 3 % of the true length, and shape responses."""
    minimum = minimum_along_scaling(proxy, specs)
    within = float((np.abs(minimum - 1) <= MINIMUM_TOLERANCE + 1e-9).mean())
    return {"n": float(len(specs)), "minimum_within_3_percent": within} | {
        f"raised_by_{name}": share for name, share in shape_response(proxy, specs).items()
    }


def strain_figures(proxy: Proxy, strained: pd.DataFrame, least: int = 4) -> dict[str, float]:
    """Agreement with a potential along isotropic scaling, and how well strained cells are told from true ones.

    Args:
        proxy: proxy of energies.
        strained: prepared strained rows with ``strain`` and ``delta_energy_per_atom``, the reference cells included.
        least: scaled cells a crystal must have to be ranked.

    Returns:
        Mean over crystals of Spearman's rank correlation of the energies along scaling; areas under the ROC curve of
        strained against true cells by energy above the crystal's true cell, by standard deviation over the true
        cell's, and by standard deviation alone.
    """
    from scipy.stats import spearmanr
    from sklearn.metrics import roc_auc_score

    prediction = proxy(frame_to_specs(strained))
    rows = strained.assign(predicted=prediction.value.cpu().numpy(), deviation=prediction.std.cpu().numpy())
    correlations = [
        float(spearmanr(group["predicted"], group["delta_energy_per_atom"]).statistic)
        for _, group in rows[rows["strain"].isin(["scale", "reference"])].groupby("material_id")
        if len(group) >= least
    ]
    reference = rows[rows["strain"] == "reference"].set_index("material_id")
    true_energy = reference["predicted"].reindex(rows["material_id"]).to_numpy()
    is_strained = (rows["strain"] != "reference").to_numpy()
    rise = rows["predicted"].to_numpy() - true_energy
    figures = {
        "n_crystals": float(len(reference)),
        "spearman_along_scaling": float(np.mean(correlations)) if correlations else float("nan"),
        "auroc_strained_by_energy": float(roc_auc_score(is_strained, rise)),
    }
    if (rows["deviation"] > 0).all():
        own = reference["deviation"].reindex(rows["material_id"]).to_numpy()
        figures["auroc_strained_by_std_rise"] = float(roc_auc_score(is_strained, rows["deviation"] / own))
        figures["auroc_strained_by_std"] = float(roc_auc_score(is_strained, rows["deviation"]))
    return figures
