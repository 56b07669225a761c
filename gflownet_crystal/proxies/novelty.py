"""Penalties of a reward on known compounds."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.data.known_formulas import read_formulas
from gflownet_crystal.proxies.history import FoundOften, History
from gflownet_crystal.proxies.known_compounds import KnownCompounds
from gflownet_crystal.structures.formulas import text_to_composition
from gflownet_crystal.structures.spec import CrystalSpec


class Novelty:
    """Costs of compounds that are known.

    Args:
        formula_cost: taken off the log-reward where the reduced formula is known.
        pair_cost: further penalty where it is known in the same space group; mirror images count as equal.
        known: file or folder of further known crystals, or a list of them: structures in any form, or tables with
            formulas and space groups, such as spec files.
        history_cost: factor c of the cost ``c log(1 + m / s)`` while training, of a formula that this training has
            found m times; 0 for none.
        history_scale: s of the same.
        prototype_cost: factor c of such a cost for prototypes (space group and counts of the formula, whatever the
            elements); 0 for none.
        prototype_scale: s of the same.

    Raises:
        ConfigError: a cost is no finite number.
        DataError: ``known`` cannot be read.
        WeightsError: the shipped list of known compounds is missing or corrupt.
    """

    def __init__(
        self,
        formula_cost: float = 2.5,
        pair_cost: float = 0.0,
        known: str | Sequence[str] | None = None,
        history_cost: float = 2.8,
        history_scale: float = 50.0,
        prototype_cost: float = 0.0,
        prototype_scale: float = 1000.0,
    ) -> None:
        costs = {
            "formula": formula_cost,
            "pair": pair_cost,
            "history": history_cost,
            "prototype": prototype_cost,
        }
        for name, cost in costs.items():
            if not math.isfinite(cost):
                raise ConfigError(f"reward.novelty.{name}_cost must be finite, not {cost}")
        self.formula_cost, self.pair_cost = formula_cost, pair_cost
        self.known = KnownCompounds.from_weights()
        if known is not None:
            self.known = self.known | read_known([known] if isinstance(known, str) else known)
        counts = {
            "formulas": FoundOften.formulas(history_cost, history_scale),
            "prototypes": FoundOften.prototypes(prototype_cost, prototype_scale),
        }
        kept = {name: count for name, count in counts.items() if count.factor}
        self.history = History(kept) if kept else None

    def cost(self, specs: CrystalSpec) -> Tensor:
        """Cost (n,) float64 of each spec for being known; that of the history is apart."""
        formula, pair = self.known.look_up(specs.composition, specs.space_group)
        return self.formula_cost * formula.double() + self.pair_cost * pair.double()

    def describe(self) -> str:
        """The costs in words."""
        parts = [f"{self.formula_cost:g} for each of {len(self.known.formulas):,} known formulas"]
        if self.pair_cost:
            parts.append(f"{self.pair_cost:g} more for a known formula in a known space group")
        if self.history is not None:
            counted = self.history.parts.items()
            parts += [
                f"{one.factor:g} log(1 + m / {one.scale:g}) for {name} drawn m times" for name, one in counted
            ]
        return ", ".join(parts)


def read_known(sources: Sequence[str]) -> KnownCompounds:
    """Known compounds of files and folders.

    Raises:
        DataError: one cannot be read.
    """
    table = read_formulas(sources)
    groups = torch.from_numpy(table[SPACE_GROUP].to_numpy(dtype="int64").copy())
    return KnownCompounds.of(text_to_composition(table[FORMULA].tolist()), groups)
