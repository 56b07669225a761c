"""Standard deviations of predicted energies, from the distance of a structure to the network's training data."""

from __future__ import annotations

from typing import Self

import torch
from torch import Tensor, nn

from gflownet_crystal.common.errors import DataError

FEWEST_ERRORS = 20
"""Known errors that a calibration needs at least."""

# directions in which the training data hardly vary count no more than this share of the widest one
_LEAST_VARIANCE = 1e-3
_ERRORS_A_KNOT, _MOST_KNOTS = 40, 16
_SHARES = (0.6827, 0.9545)
_SMALLEST = 1e-3


class LatentDistance(nn.Module):
    """Distance to the training data in a network's pooled features, and the standard deviation that goes with it.

    The distance is Mahalanobis', over the root of the number of features: about 1 within the training data. Errors of
    structures that were kept apart say which standard deviation a distance means: it is interpolated between knots,
    never falls, and grows in proportion to the distance beyond the last one.

    Args:
        n_features: d.
        n_knots: number of knots of the calibration.
    """

    mean: Tensor
    whitening: Tensor
    knots: Tensor
    deviation: Tensor

    def __init__(self, n_features: int, n_knots: int = 1) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(n_features))
        self.register_buffer("whitening", torch.eye(n_features))
        self.register_buffer("knots", torch.ones(n_knots))
        self.register_buffer("deviation", torch.zeros(n_knots))

    @classmethod
    def of(cls, tensors: dict[str, Tensor]) -> Self:
        """Build the object from a state of :meth:`state_dict`.

        Raises:
            KeyError, RuntimeError: tensors are missing or of other shapes.
        """
        made = cls(len(tensors["mean"]), len(tensors["knots"]))
        made.load_state_dict(tensors)
        return made

    @classmethod
    def fit(cls, train: Tensor, features: Tensor, error: Tensor) -> Self:
        """Learn the distance from training data, and its calibration from errors.

        Args:
            train: (m, d) features of training structures.
            features: (n, d) features of structures kept apart, at least ``FEWEST_ERRORS``.
            error: (n,) errors of their energies, eV/atom.

        Raises:
            DataError: there are too few, or some are not finite.
        """
        if len(error) < FEWEST_ERRORS or len(train) < 2:
            raise DataError(
                f"{len(error)} errors and {len(train)} training structures calibrate no uncertainty"
            )
        if not bool(train.isfinite().all() and features.isfinite().all() and error.isfinite().all()):
            raise DataError("features or errors to calibrate an uncertainty with are not finite")
        made = cls(train.shape[1])
        centred = train.double() - train.double().mean(0)
        variance, directions = torch.linalg.eigh(centred.T @ centred / (len(train) - 1))
        variance = variance + _LEAST_VARIANCE * variance[-1].clamp(min=1e-12)
        made.mean = train.double().mean(0).float()
        made.whitening = (directions / (len(variance) * variance).sqrt()).float()
        made.knots, made.deviation = _calibration(made.distance(features), error.double().abs())
        return made

    def distance(self, features: Tensor) -> Tensor:
        """Distance of each row, (n, d) to (n,) float64."""
        whitened = (features.double() - self.mean.double()) @ self.whitening.double()
        return whitened.square().sum(1).sqrt()

    def forward(self, features: Tensor) -> Tensor:
        """Standard deviations, (n, d) to (n,) float64, eV/atom."""
        distance, knots, deviation = self.distance(features), self.knots.double(), self.deviation.double()
        right = torch.searchsorted(knots, distance).clamp(1, max(len(knots) - 1, 1))
        right = right.clamp(max=len(knots) - 1)
        left = (right - 1).clamp(min=0)
        width = (knots[right] - knots[left]).clamp(min=1e-12)
        share = ((distance - knots[left]) / width).clamp(0.0, 1.0)
        inside = deviation[left] + share * (deviation[right] - deviation[left])
        return inside * (distance / knots[-1]).clamp(min=1.0)


def coverage(deviation: Tensor, error: Tensor) -> dict[str, object]:
    """Share of errors within their standard deviations.

    Args:
        deviation: (n,) eV/atom.
        error: (n,) eV/atom.

    Returns:
        Shares of errors within one and within two, and the mean standard deviation.
    """
    size = error.abs()
    return {
        "within_1_std": float((size <= deviation).double().mean()),
        "within_2_std": float((size <= 2.0 * deviation).double().mean()),
        "mean_std": float(deviation.mean()),
    }


def _calibration(distance: Tensor, error: Tensor) -> tuple[Tensor, Tensor]:
    """Knots of rising distance and their standard deviations, which never fall, (k,) float32 each."""
    from sklearn.isotonic import IsotonicRegression

    order = distance.argsort(stable=True)
    n_knots = max(1, min(_MOST_KNOTS, len(order) // _ERRORS_A_KNOT))
    groups = order.tensor_split(n_knots)
    knots = torch.stack([distance[rows].mean() for rows in groups])
    # errors have longer tails than a normal distribution: no width is right at one and at two deviations, so between
    shares = error.new_tensor(_SHARES)
    widths = torch.stack([torch.quantile(error[rows], shares) for rows in groups])
    found = (widths[:, 0] * widths[:, 1] / 2.0).sqrt().clamp(min=_SMALLEST)
    rising = IsotonicRegression().fit_transform(knots.cpu().numpy(), found.cpu().numpy())
    return knots.float(), torch.from_numpy(rising).to(knots.device).float()
