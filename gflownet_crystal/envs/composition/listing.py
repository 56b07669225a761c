"""All compositions that formulas admit: listed, as there are few, and with the reason where there are none."""

from __future__ import annotations

from math import prod

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.oxidation import OxidationTable
from gflownet_crystal.envs.composition.patterns import FormulaPattern
from gflownet_crystal.envs.composition.rules import CompositionRules

MOST_LISTED = 100_000
"""Most compositions of a family of formulas before their charges are balanced."""

_CHUNK = 20_000


def listed_compositions(rules: CompositionRules) -> Tensor:
    """Compositions that all formulas of the rules admit, within the ranges and neutral.

    Args:
        rules: rules with at least one formula.

    Returns:
        (m, E) int64, m at least 1, sorted.

    Raises:
        ConfigError: a family of too many formulas, or an element without oxidation states.
        EmptySpaceError: there are none; the message says why.
    """
    counts = _members(rules, rules.formulas[0])
    for pattern in rules.formulas[1:]:
        counts = counts[is_among(counts, _members(rules, pattern))]
    if not len(counts):
        raise EmptySpaceError(f"no composition has the formulas {_texts(rules)} at once; give one of them")
    fits = rules.satisfied(counts)
    if not bool(fits.any()):
        raise EmptySpaceError(
            f"no composition of formula {_texts(rules)} fits: {_out_of_range(rules, counts)}"
        )
    counts = counts[fits]
    if not rules.charge_balance:
        return counts
    neutral = _neutral(rules, counts)
    if not bool(neutral.any()):
        raise EmptySpaceError(
            f"no composition of formula {_texts(rules)} is neutral: the oxidation states are {_states(rules, counts)}; "
            "give others in oxidation_table, or charge_balance=false"
        )
    return counts[neutral]


def is_among(counts: Tensor, others: Tensor) -> Tensor:
    """(n,) bool: which compositions (n, E) are among others (m, E)."""
    _, number = torch.unique(torch.cat([others, counts]), dim=0, return_inverse=True)
    return torch.isin(number[len(others) :], number[: len(others)])


def _members(rules: CompositionRules, pattern: FormulaPattern) -> Tensor:
    """(m, E) compositions of a formula with all numbers of formula units that may fit."""
    usable = rules.usable_elements
    options = [
        [s for s in (usable if symbols is None else symbols) if s in usable] for symbols, _ in pattern.parts
    ]
    largest = max(count for _, count in pattern.parts)
    units = max(1, min(rules.n_atoms[1] // pattern.n_atoms, rules.max_count // largest))
    units = units if pattern.is_ratio else 1
    if (number := prod(map(len, options)) * units) > MOST_LISTED:
        raise ConfigError(
            f"formula {pattern.text} stands for {number} compositions, more than {MOST_LISTED}: give fewer elements in "
            "sites, or elements=[...]"
        )
    place = {symbol: number for number, symbol in enumerate(rules.elements)}
    columns = [torch.tensor([place[symbol] for symbol in left]) for left in options]
    chosen = torch.cartesian_prod(*columns).view(-1, len(columns))
    ordered = chosen.sort(dim=1).values
    chosen = chosen[(ordered[:, 1:] != ordered[:, :-1]).all(dim=1)]
    if not len(chosen):
        raise EmptySpaceError(
            f"formula {pattern.text}: its letters have no distinct elements; give more in sites"
        )
    unit = torch.tensor([count for _, count in pattern.parts]).expand(len(chosen), -1)
    counts = torch.zeros(len(chosen), rules.n_vocabulary, dtype=torch.int64).scatter(1, chosen, unit)
    times = torch.arange(1, units + 1)
    return torch.unique((counts[:, None] * times[:, None]).flatten(0, 1), dim=0)


def _neutral(rules: CompositionRules, counts: Tensor) -> Tensor:
    """(m,) bool: which compositions (m, E) balance."""
    used = counts.any(dim=0).nonzero().squeeze(1)
    model = _charges(rules, counts)
    return torch.cat([model.neutral(some) for some in counts[:, used].split(_CHUNK)])


def _charges(rules: CompositionRules, counts: Tensor) -> ChargeModel:
    """Charges of the elements that are present in some composition."""
    symbols = [s for s, used in zip(rules.elements, counts.any(dim=0).tolist(), strict=True) if used]
    return ChargeModel(
        symbols, rules.states, rules.mixed_valence, rules.metallic, max_count=int(counts.max())
    )


def _texts(rules: CompositionRules) -> str:
    return ", ".join(pattern.text for pattern in rules.formulas)


def _states(rules: CompositionRules, counts: Tensor) -> str:
    """Oxidation states of the first elements of some compositions, in words."""
    table = OxidationTable.of(rules.states)
    symbols = [s for s, used in zip(rules.elements, counts.any(dim=0).tolist(), strict=True) if used]
    shown = [f"{s} {' '.join(f'{state:+d}' for state in table.of_element(s)) or 'none'}" for s in symbols[:8]]
    return f"{', '.join(shown)}{', ...' if len(symbols) > 8 else ''} (table {table.name})"


def _out_of_range(rules: CompositionRules, counts: Tensor) -> str:
    """Which range no composition keeps to, the fewest atoms first."""
    atoms, elements = counts.sum(dim=1), (counts > 0).sum(dim=1)
    least, most = rules.n_atoms
    if int(atoms.min()) > most:
        return f"a formula unit has {int(atoms.min())} atoms, but n_atoms is at most {most}; raise it"
    if int(counts.max(dim=1).values.min()) > rules.max_count:
        largest = int(counts.max(dim=1).values.min())
        return (
            f"a formula unit has {largest} atoms of an element, but max_count is {rules.max_count}; raise it"
        )
    low, high = rules.n_elements
    if not bool(((elements >= low) & (elements <= high)).any()):
        return f"it has {int(elements.min())} elements, but n_elements is [{low}, {high}]; widen it"
    lacking = [s for s in rules.required_elements if not bool(counts[:, rules.elements.index(s)].any())]
    if lacking:
        return f"it has no {', '.join(lacking)}, which is required"
    shown = sorted(set(atoms.tolist()))
    return (
        f"with n_atoms=[{least}, {most}] (it has {', '.join(map(str, shown[:6]))}{', ...' if shown[6:] else ''}), "
        f"count_ranges={dict(rules.count_ranges)} and required elements [{', '.join(rules.required_elements)}] nothing "
        "is left; loosen one"
    )
