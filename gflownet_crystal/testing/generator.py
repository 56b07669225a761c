"""Checks of a generator against the contract of :mod:`gflownet_crystal.generators.base`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.generators.base import Generation, Generator
from gflownet_crystal.structures.distances import shortest_distance
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.structures.symmetry import symmetry_error
from gflownet_crystal.testing.references import reference_specs
from gflownet_crystal.testing.report import Faults, unchanged, watching_global_randomness

LENGTH_TOLERANCE = 1e-6
ANGLE_TOLERANCE = 1e-6
SYMMETRY_TOLERANCE = 1e-3
SHORTEST_DISTANCE = 0.1
COORDINATE_TOLERANCE = 1e-6
_SINGLE_ROWS = 4


def check_generator(
    generator: Generator, specs: CrystalSpec | None = None, seed: int = 0, raise_faults: bool = True
) -> list[str]:
    """Check a generator on specs taken whole, in other orders, in parts and alone, and with other seeds.

    Found are: counts, lattice parameters or groups that are not the spec's, coordinates that are not finite, atoms on
    top of each other, operations of the group that do not map the structure onto itself, rows that do not rise or that
    no spec has, structures that change from call to call or depend on the rest of the batch, a seed that changes
    nothing, draws from the global random state, and changed inputs. A generator may leave specs out, but not all.

    Args:
        generator: the generator.
        specs: two or more specs whose lattice parameters obey their group. Default: 16 well-known crystals of the
            elements H, Li, C, O, F, Mg, Si, S, Cl and Fe. Whether the seed matters is asked of these only: others may
            leave an atom no choice of place.
        seed: the first of two that are asked for.
        raise_faults: raise on faults; else only return them.

    Returns:
        The faults, one text each; empty if there are none.

    Raises:
        ContractError: lists all faults found.
        ConfigError: fewer than two specs.
    """
    faults = Faults(f"generator {type(generator).__name__}")
    if not isinstance(generator, Generator):
        faults.add("the class does not derive from gflownet_crystal.generators.base.Generator")
        return faults.finish(raise_faults)
    given = reference_specs() if specs is None else specs
    if len(given) < 2:
        raise ConfigError("check_generator needs at least two specs to compare rows")
    with watching_global_randomness(faults, "generate"):
        whole = _generate(generator, given, seed, faults)
        if whole is not None:
            _check_structures(given, whole, faults)
            _check_dependence(generator, given, seed, whole, faults)
        other = _generate(generator, given, seed + 1, faults)
        if other is not None:
            _check_structures(given, other, faults)
            if specs is None and whole is not None and not _differ(whole, other, torch.arange(len(given))):
                faults.add("another seed gives the same structures")
    return faults.finish(raise_faults)


def _generate(generator: Generator, specs: CrystalSpec, seed: int, faults: Faults) -> Generation | None:
    """Structures made of specs; None, with a fault noted, if the result is no set of structures of them."""
    mine = copy.deepcopy(specs)
    try:
        made: Any = generator.generate(mine, seed)
    except Exception as error:
        faults.add(f"generate raised {type(error).__name__}", str(error))
        return None
    if not unchanged(specs, mine):
        faults.add("generate changes its input")
    if not isinstance(made, Generation) or not isinstance(made.structures, StructureBatch):
        faults.add("generate does not return a Generation of a StructureBatch", type(made).__name__)
        return None
    rows = made.rows
    if (
        not isinstance(rows, Tensor)
        or rows.dtype != torch.int64
        or tuple(rows.shape) != (len(made.structures),)
    ):
        faults.add("rows is not one int64 a structure")
        return None
    if bool(((rows < 0) | (rows >= len(specs))).any()) or bool((rows.diff() <= 0).any()):
        faults.add("rows do not rise, or name a spec that was not given", str(rows[:8].tolist()))
        return None
    return made


def _check_structures(specs: CrystalSpec, made: Generation, faults: Faults) -> None:
    """Compare each structure with its spec."""
    structures, asked = made.structures, specs[made.rows]
    if not len(structures):
        faults.add("no spec was placed; give check_generator specs that the generator can place")
        return
    index = structures.structure_index
    if bool((index.diff() < 0).any()) or bool(((index < 0) | (index >= len(structures))).any()):
        faults.add("structure_index falls, or names a structure that is not there")
        return
    wrong_counts = (structures.composition != asked.composition).any(dim=1)
    faults.add_rows("the composition is not the spec's", wrong_counts)
    _check_cells(structures, asked, faults)
    faults.add_rows("the space group is not the spec's", structures.space_group != asked.space_group)
    lost = torch.zeros(len(structures), dtype=torch.bool)
    lost[index[~structures.fractional.isfinite().all(dim=1)]] = True
    faults.add_rows("a coordinate is not finite", lost)
    # crystals without atoms, positions or cell have no symmetry
    sound = ((structures.n_atoms > 0) & ~lost & (structures.volume > 0)).nonzero()[:, 0]
    if len(sound):
        usable = structures[sound]
        claimed = StructureBatch(
            usable.cell,
            usable.atomic_numbers,
            usable.fractional,
            usable.structure_index,
            asked.space_group[sound],
        )
        broken = symmetry_error(claimed) > SYMMETRY_TOLERANCE
        faults.add_rows("an operation of the group does not map the structure onto itself", broken)
        faults.add_rows("two atoms are on top of each other", shortest_distance(usable) < SHORTEST_DISTANCE)


def _check_cells(structures: StructureBatch, asked: CrystalSpec, faults: Faults) -> None:
    found = structures.specs()
    lengths = (found.lengths - asked.lengths).abs() > LENGTH_TOLERANCE * asked.lengths
    angles = (found.angles - asked.angles).abs() > ANGLE_TOLERANCE * 180.0
    # NaN is no length either
    strange = ~found.lengths.isfinite() | ~found.angles.isfinite()
    faults.add_rows("the lattice is not the spec's", (lengths | angles | strange).any(dim=1))


def _check_dependence(
    generator: Generator, specs: CrystalSpec, seed: int, whole: Generation, faults: Faults
) -> None:
    """A spec and a seed give the same structure in every call and every batch."""
    every = torch.arange(len(specs))
    again = _generate(generator, specs, seed, faults)
    if again is None or _differ(whole, again, every):
        faults.add("structures are not deterministic: the same specs and seed gave others in a second call")
        return
    half = every[: (len(specs) + 1) // 2]
    parts = [("in reverse order", every.flip(0)), ("in half the batch", half)]
    parts += [("alone", row[None]) for row in every[:: max(1, len(every) // _SINGLE_ROWS)]]
    for how, rows in parts:
        made = _generate(generator, specs[rows], seed, faults)
        if made is not None and _differ(whole, made, rows):
            faults.add("structures depend on the rest of the batch: other ones", how)


def _differ(whole: Generation, part: Generation, rows: Tensor) -> bool:
    """Whether the structures of ``rows`` in one generation are others than those of a batch of these rows."""
    asked = torch.isin(whole.rows, rows).nonzero()[:, 0]
    found = rows[part.rows]
    order = found.argsort()
    if not found[order].equal(whole.rows[asked]):
        return True
    mine, theirs = whole.structures[asked], part.structures[order]
    if not mine.atomic_numbers.equal(theirs.atomic_numbers) or not mine.n_atoms.equal(theirs.n_atoms):
        return True
    moved = mine.fractional - theirs.fractional
    same = torch.isclose(mine.cell, theirs.cell, rtol=COORDINATE_TOLERANCE, atol=0.0, equal_nan=True).all()
    return not bool(same) or bool(((moved - moved.round()).abs() > COORDINATE_TOLERANCE).any())
