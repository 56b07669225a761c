"""Known compounds asked for by their ratio: masks against enumeration, seconds to set up. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.known_formulas [env=crystal_89] [groups=0]

For each of ``COMPOUNDS`` the environment is made with ``formula`` set to the reduced formula. Counted are those whose
known conventional cell is reached in its space group (``reached``), and those for which the walk over all actions that
the masks allow, in each of the environment's groups, ends in exactly the compositions that plain Python admits
(``exact``, with the number of pairs of a group and a composition; ``dead_ends`` stop the walk); ``groups`` limits the
walk to so many groups drawn at random beside the known one, 0 for all. ``seconds`` are those of the setup, processor
time of one thread.
"""

from __future__ import annotations

import json
import time

import numpy as np
import torch

from benchmarks.masks import build
from benchmarks.options import read_options, run
from gflownet_crystal.envs.composition.rules import CompositionRules
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.structures.formulas import composition_to_text, reduce_composition, text_to_composition
from tests.envs.slow_rules import SlowRules
from tests.envs.walks import Counts, walk_forward

COMPOUNDS = (
    "225 Na4Cl4, 221 CsCl, 225 Ca4F8, 216 Zn4S4, 186 Zn2O2, 136 Ti2O4, 141 Ti4O8, 221 SrTiO3, 62 Ca4Ti4O12, "
    "62 Li4Fe4P4O16, 194 Li2Co2O4, 166 Li3Co3O6, 225 Mg4O4, 225 Li8O4, 164 MgCl2, 166 Cd3Cl6, 167 Al12O18, "
    "167 Fe12O18, 136 Sn2O4, 152 Si3O6, 167 Ca6C6O18, 62 Ca4C4O12, 194 Ni2As2, 205 Fe4S8, 58 Fe2S4, 194 Mo2S4, "
    "164 TiS2, 221 ReO3, 224 Cu4O2, 15 Cu4O4, 141 Zr4Si4O16, 122 Cu4Fe4S8, 121 Cu4Fe2Sn2S8, 139 K4Ni2F8, "
    "139 Sr4Ti2O8, 225 K8Pt4Cl24, 148 Fe6Ti6O18, 161 Li6Nb6O18, 99 BaTiO3, 139 Ca2C4, 12 Al4Cl12, 63 Hg4Br8, "
    "216 Ga4As4, 36 Si8N8O4, 176 Ca10P6O24F2, 62 Mg8Si4O16, 14 Zr4O8, 137 Zr2O4, 62 Pb4S4O16, 225 K4Br4, 129 Pb2O2, "
    "62 Ba4S4O16"
)
"""Space group and conventional cell of well-known compounds."""


def compounds() -> list[tuple[int, str]]:
    """Space groups and cells of the compounds."""
    pairs = (entry.split() for entry in COMPOUNDS.split(", "))
    return [(int(group), cell) for group, cell in pairs]


def of_formula(name: str, cell: str) -> tuple[Crystal, float]:
    """The environment of a config with the reduced formula of a cell, and the seconds to make it."""
    formula = composition_to_text(reduce_composition(text_to_composition([cell])), "", False)[0]
    start = time.process_time()
    env = build(name, formula=formula)
    return env, time.process_time() - start


def multiples(rules: CompositionRules, cell: str) -> list[Counts]:
    """Counts of all numbers of formula units within the ranges of the rules."""
    unit = reduce_composition(text_to_composition([cell]))[0]
    own = unit[rules.atomic_numbers].tolist()
    units = range(1, rules.max_count // max(own) + 1)
    every = [tuple(count * z for count in own) for z in units]
    return [counts for counts in every if rules.n_atoms[0] <= sum(counts) <= rules.n_atoms[1]]


def exact_pairs(env: Crystal, cell: str, groups: list[int]) -> tuple[bool, int]:
    """Whether masks and plain Python admit the same compositions in some groups, and the number of pairs.

    Raises:
        AssertionError: a dead end.
    """
    rules = env.composition.rules
    slow, expected = SlowRules(rules), multiples(rules, cell)
    same, n_pairs = True, 0
    for group in groups:
        valid = {counts for counts in expected if slow.valid(group, counts)}
        walked = walk_forward(env.composition, group)[0] if bool(env.composition.fillable[group]) else set()
        same, n_pairs = same and walked == valid, n_pairs + len(valid)
    return same, n_pairs


def main(arguments: list[str]) -> None:
    """Make, walk and print."""
    options = read_options(__doc__, {"env": "crystal_89", "groups": "0"}, arguments)
    torch.set_num_threads(1)
    build(options["env"], formula="NaCl")
    seconds, missed, unlike, n_pairs = [], [], [], 0
    for group, cell in compounds():
        env, spent = of_formula(options["env"], cell)
        seconds.append(spent)
        counts = text_to_composition([cell])[:, env.atomic_numbers]
        if not bool(env.composition.reached(counts, torch.tensor([group]))):
            missed.append(cell)
        groups = env.space_group.allowed.nonzero().squeeze(1).tolist()
        if some := int(options["groups"]):
            groups = [group, *np.random.default_rng(0).choice(groups, some, replace=False).tolist()]
        same, n = exact_pairs(env, cell, groups)
        unlike += [] if same else [cell]
        n_pairs += n
    n = len(seconds)
    figures = {"compounds": n, "reached": n - len(missed), "missed": missed, "exact": n - len(unlike)}
    figures |= {"not_exact": unlike, "pairs": n_pairs}
    setup = {"seconds_median": round(float(np.median(seconds)), 2), "seconds_most": round(max(seconds), 2)}
    print(json.dumps({"options": options, **figures, **setup}))


if __name__ == "__main__":
    run(main)
