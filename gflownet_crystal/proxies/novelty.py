"""Penalties of a reward on known compounds, and on those that a training has often found."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.data.known_formulas import read_formulas
from gflownet_crystal.proxies.known_compounds import KnownCompounds, find
from gflownet_crystal.structures.composition_keys import formula_keys
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec

_CAPACITY = 2**20


class History:
    """Formulas that a training has found so far, and how often; a state to be kept in checkpoints.

    A formula found m times costs ``c log(1 + m / s)``. As m is in proportion to the probability p of the formula, this
    flattens the distribution over formulas: where m is well above s, p becomes p^(1 / (1 + c)).

    It holds the million most frequent formulas at most; of equal ones those with the lower keys stay.

    Args:
        cost: c.
        scale: s, number of times that a formula is found until it costs c log 2.

    Raises:
        ConfigError: ``scale`` is not positive and finite.
    """

    def __init__(self, cost: float, scale: float) -> None:
        if not 0.0 < scale < math.inf:
            raise ConfigError(f"reward.novelty.history_scale must be positive and finite, not {scale}")
        self.scale, self._cost = scale, cost
        self._keys = torch.zeros(0, dtype=torch.int64)
        self._counts = torch.zeros(0, dtype=torch.int64)

    def cost(self, specs: CrystalSpec) -> Tensor:
        """Cost (n,) float64 of each spec, on its device."""
        sought = formula_keys(specs.composition)
        place, found = find(self._keys, sought)
        times = torch.zeros(len(sought), dtype=torch.float64)
        times[found] = self._counts[place[found]].double()
        return (self._cost * torch.log1p(times / self.scale)).to(sought.device)

    def remember(self, specs: CrystalSpec) -> None:
        """Count the formulas of n specs."""
        new = formula_keys(specs.composition).cpu()
        keys, place = torch.cat([self._keys, new]).unique(return_inverse=True)
        times = torch.cat([self._counts, torch.ones_like(new)])
        counts = torch.zeros_like(keys).scatter_add_(0, place, times)
        if len(keys) > _CAPACITY:
            kept = counts.argsort(descending=True, stable=True)[:_CAPACITY].sort().values
            keys, counts = keys[kept], counts[kept]
        self._keys, self._counts = keys, counts

    def state_dict(self) -> dict[str, Tensor]:
        """Keys and counts, both (m,) int64."""
        return {"keys": self._keys, "counts": self._counts}

    def load_state_dict(self, state: Mapping[str, Tensor]) -> None:
        """Go on from a state.

        Raises:
            CheckpointError: it is none.
        """
        if set(state) != {"keys", "counts"} or state["keys"].shape != state["counts"].shape:
            raise CheckpointError(
                "the checkpoint holds no history of formulas; resume with the settings of the run"
            )
        self._keys, self._counts = state["keys"], state["counts"]


class Novelty:
    """Costs of compounds that are known.

    Args:
        formula_cost: taken off the log-reward where the reduced formula is known.
        pair_cost: further penalty where it is known in the same space group; mirror images count as equal.
        known: file or folder of further known crystals, or a list of them: structures in any form, or tables with
            formulas and space groups, such as spec files.
        history_cost: factor c of the cost ``c log(1 + m / s)`` while training, of a formula that this training has
            found m times; 0 keeps no history.
        history_scale: s of the same.

    Raises:
        ConfigError: a cost is no finite number.
        DataError: ``known`` cannot be read.
        WeightsError: the shipped list of known compounds is missing or corrupt.
    """

    def __init__(
        self,
        formula_cost: float = 3.0,
        pair_cost: float = 0.0,
        known: str | Sequence[str] | None = None,
        history_cost: float = 2.5,
        history_scale: float = 50.0,
    ) -> None:
        for name, cost in (("formula", formula_cost), ("pair", pair_cost), ("history", history_cost)):
            if not math.isfinite(cost):
                raise ConfigError(f"reward.novelty.{name}_cost must be finite, not {cost}")
        self.formula_cost, self.pair_cost = formula_cost, pair_cost
        self.known = KnownCompounds.from_weights()
        if known is not None:
            self.known = self.known | read_known([known] if isinstance(known, str) else known)
        history = History(history_cost, history_scale)
        self.history = history if history_cost else None

    def cost(self, specs: CrystalSpec) -> Tensor:
        """Cost (n,) float64 of each spec for being known; that of the history is apart."""
        formula, pair = self.known.look_up(specs.composition, specs.space_group)
        return self.formula_cost * formula.double() + self.pair_cost * pair.double()

    def describe(self) -> str:
        """The costs in words."""
        parts = [f"{self.formula_cost:g} where the formula is one of {len(self.known.formulas):,} known ones"]
        if self.pair_cost:
            parts.append(f"{self.pair_cost:g} more in a known space group of it")
        if self.history is not None:
            parts.append("while training, one for formulas that it finds again and again")
        return ", ".join(parts)


def read_known(sources: Sequence[str]) -> KnownCompounds:
    """Known compounds of files and folders.

    Raises:
        DataError: one cannot be read.
    """
    table = read_formulas(sources)
    groups = torch.from_numpy(table["space_group"].to_numpy(dtype="int64").copy())
    return KnownCompounds.of(text_to_composition(table["formula"].tolist()), groups)
