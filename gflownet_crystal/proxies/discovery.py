"""The reward for discovery: crystals near or below the convex hull of known compounds that are not known themselves."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import ENERGY_COLUMN, HULL_COLUMN
from gflownet_crystal.proxies.base import Prediction, Proxy
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES, SystemEntries
from gflownet_crystal.proxies.e_above_hull import LEARNED, REFERENCE, load_hull
from gflownet_crystal.proxies.history import History
from gflownet_crystal.proxies.novelty import Novelty
from gflownet_crystal.proxies.reference_hull import ReferenceHull
from gflownet_crystal.proxies.reward import RewardFunction
from gflownet_crystal.proxies.several import is_energy
from gflownet_crystal.structures.spec import CrystalSpec

_FORMATION_ENERGY, _ABOVE_HULL = ENERGY_COLUMN, HULL_COLUMN


class Discovery(RewardFunction):
    """``log R = -beta max(e, floor, deepest - e)`` with ``e = E + caution * std``, less the costs of known compounds.

    E is the energy above the hull. The proxy predicts formation energies, from which the hull is subtracted here, or
    energies above a hull of its own. The floor says that nothing is gained below the hull. Cautious energies far below
    it are errors of the proxy more often than discoveries, and count the more against a spec the deeper they lie.

    Args:
        beta: inverse temperature, atom/eV, above 0.
        caution: number of standard deviations added to the predicted energy.
        floor: energy above hull that lower ones count as, eV/atom.
        deepest: cautious energy above hull, below 0; lower ones count against a spec as far as they lie below it,
            eV/atom; None to trust energies however low.
        hull: ``reference`` for the shipped hull of public labels, ``learned`` for the learned one, or the Parquet file
            of a hull, as ``prepare_data hull=FILE`` writes; not used where the proxy predicts energies above a hull.
        novelty: costs of known compounds; None for those by default.

    Raises:
        ConfigError: a setting is out of range.
        DataError: ``hull`` is no hull.
        WeightsError: shipped tables are missing or corrupt.
    """

    conditions = ("beta",)

    def __init__(
        self,
        beta: float = 30.0,
        caution: float = 1.0,
        floor: float = 0.0,
        deepest: float | None = -0.1,
        hull: str = REFERENCE,
        novelty: Novelty | None = None,
    ) -> None:
        for name, value in (("beta", beta), ("caution", caution), ("floor", floor)):
            if not math.isfinite(value):
                raise ConfigError(f"reward.{name} must be finite, not {value}")
        if not beta > 0.0:
            raise ConfigError(f"reward.beta is {beta}; the reward for discovery needs one above 0")
        if caution < 0.0:
            raise ConfigError(
                f"reward.caution is {caution}; a weight of the standard deviation is at least 0"
            )
        if deepest is not None and not -math.inf < deepest < 0.0:
            raise ConfigError(f"reward.deepest is {deepest}; it is an energy below 0, or null")
        if not isinstance(hull, str):
            raise ConfigError(f"reward.hull is {REFERENCE}, {LEARNED} or a file of a hull, not {hull!r}")
        self.beta, self.caution, self.floor, self.hull_name = beta, caution, floor, hull
        self.deepest = deepest
        self.hull, self.novelty = load_hull(hull), novelty or Novelty()
        self.entries = _entries(hull, self.hull)
        self._subtracts_hull = True

    @property
    def history(self) -> History | None:
        """Formulas found so far, where they cost."""
        return self.novelty.history

    def bind(self, proxy: Proxy) -> None:
        """Take formation energies or energies above a hull, as the proxy predicts.

        Raises:
            ConfigError: it predicts something else.
        """
        if not is_energy(proxy):
            raise ConfigError(
                f"reward=discovery takes {_FORMATION_ENERGY} or {_ABOVE_HULL} (eV/atom) of specs, but proxy "
                f"{type(proxy).__name__} predicts {proxy.property_name} ({proxy.unit}) of {proxy.input_kind}; choose "
                "proxy=mlp, or another reward, as reward=boltzmann"
            )
        self._subtracts_hull = proxy.property_name == _FORMATION_ENERGY

    def check_conditions(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """See :meth:`RewardFunction.check_conditions`; inverse temperatures are above 0."""
        super().check_conditions(ranges)
        if "beta" in ranges and not ranges["beta"][0] > 0.0:
            raise ConfigError(
                f"condition.beta starts at {ranges['beta'][0]:g}; the reward for discovery needs values above 0"
            )

    def __call__(self, value: Tensor, std: Tensor) -> Tensor:
        """Log-rewards (n,) of new compounds from energies above the hull and standard deviations, eV/atom."""
        cautious = value + self.caution * std
        energy = cautious.clamp(min=self.floor)
        if self.deepest is not None:
            energy = torch.maximum(energy, self.deepest - cautious)
        return -self.beta * energy

    def of_objects(self, objects: CrystalSpec, prediction: Prediction) -> Tensor:
        """Log-rewards (n,) float64 of n specs and the proxy's prediction.

        Raises:
            ProxyError: a spec has more than 8 elements.
        """
        return self(self.above_hull(objects, prediction), prediction.std) - self.novelty.cost(objects)

    def above_hull(self, objects: CrystalSpec, prediction: Prediction) -> Tensor:
        """Predicted energies above the hull (n,) float64, eV/atom; penalties of the proxy as they are.

        Raises:
            ProxyError: a spec has more than 8 elements.
        """
        if not self._subtracts_hull:
            return prediction.value
        # a penalty of the proxy is no energy from which a hull could be subtracted
        energy = self.hull.e_above_hull(objects, prediction.value)
        return torch.where(prediction.penalised, prediction.value, energy)

    def columns(self, objects: CrystalSpec) -> dict[str, Tensor]:
        """Further columns of a table of samples, (n,) each.

        Returns:
            ``hull_entries``, the number of known crystals in the spec's chemical system and those within it, where that
            is known of the hull; ``known_formula`` and ``known_formula_and_group``.
        """
        formula, pair = self.novelty.known.look_up(objects.composition, objects.space_group)
        known = {"known_formula": formula, "known_formula_and_group": pair}
        if self.entries is None:
            return known
        return {"hull_entries": self.entries.within(objects.composition), **known}

    def sparse(self, specs: CrystalSpec) -> Tensor | None:
        """Whether fewer than 12 known crystals make the hull at each spec, (n,) bool; None where that is not known."""
        return None if self.entries is None else self.entries.sparse(specs.composition)

    def describe(self) -> str:
        """The reward in two lines."""
        energy = "energy above a hull by the proxy"
        deepest = "" if self.deepest is None else f", {self.deepest:g} - e"
        if self._subtracts_hull:
            energy = f"formation energy above the {self.hull_name} hull"
            if isinstance(self.hull, ReferenceHull):
                energy += f" of {len(self.hull):,} compounds"
        return (
            f"reward discovery: log R = -{self.beta:g} max(e, {self.floor:g}{deepest}) - cost; "
            f"e: {energy} + {self.caution:g} std, eV/atom\n  cost: {self.novelty.describe()}"
        )


def _entries(name: str, hull: Any) -> SystemEntries | None:
    """Numbers of known crystals in chemical systems; a learned hull learned from those of the reference hull."""
    if name == LEARNED:
        hull = load_hull(REFERENCE)
    return hull.entries if isinstance(hull, ReferenceHull) else None


__all__ = ["FEWEST_ENTRIES", "Discovery"]
