"""Why a composition space is empty, in words."""

from __future__ import annotations

from collections.abc import Sequence

from gflownet_crystal.crystallography.charge import ChargeModel
from gflownet_crystal.crystallography.oxidation import OxidationTable
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.envs.composition.rules import CompositionRules


def why_empty(rules: CompositionRules, groups: Sequence[int]) -> str:
    """The most telling reason why no composition fits any of some space groups."""
    named = (
        f"space group {groups[0]}" if len(groups) == 1 else f"any of the {len(groups)} space groups asked for"
    )
    if rules.formulas:
        formulas = ", ".join(pattern.text for pattern in rules.formulas)
        return (
            f"no Wyckoff positions of {named} hold formula {formulas} with n_atoms={list(rules.n_atoms)} and "
            f"max_count={rules.max_count}; choose other groups, or raise them"
        )
    usable = rules.usable_elements
    if len(usable) < rules.n_elements[0]:
        return (
            f"n_elements asks for at least {rules.n_elements[0]} elements, but only {len(usable)} may be used"
        )
    model = ChargeModel(usable, rules.states, rules.mixed_valence, rules.metallic, max_count=1)
    if not rules.metallic and not (bool((model.states > 0).any()) and bool((model.states < 0).any())):
        table = OxidationTable.of(rules.states).name
        sign = "negative" if bool((model.states < 0).any()) else "positive"
        return (
            f"no composition of {', '.join(usable)} is neutral: the oxidation table {table} gives them "
            f"{sign} oxidation states only; add elements of the other sign, or set metallic=true"
        )
    smallest = min(wyckoff_positions(group)[-1].multiplicity for group in groups)
    if smallest > min(rules.max_count, rules.n_atoms[1]):
        return (
            f"no composition fits {named}: its smallest orbit has {smallest} atoms, but max_count is {rules.max_count} "
            f"and n_atoms at most {rules.n_atoms[1]}; raise them or choose other groups"
        )
    return (
        f"no composition fits {named}: nothing within max_count={rules.max_count}, "
        f"n_elements={list(rules.n_elements)}, n_atoms={list(rules.n_atoms)} and required elements "
        f"[{', '.join(rules.required_elements)}] is neutral and fills the Wyckoff positions; loosen one of them"
    )
