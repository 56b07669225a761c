"""The crystal environment: space group, then composition, then lattice (Crystal-GFN, 2023, section 3)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Self, Unpack, get_type_hints

import torch
from torch import Tensor

from gflownet_crystal.common.annotations import fitting
from gflownet_crystal.common.errors import ConfigError, EmptySpaceError
from gflownet_crystal.crystallography.oxidation import TableSetting
from gflownet_crystal.crystallography.space_groups import N_SPACE_GROUPS, check_space_group
from gflownet_crystal.envs.base import Context, Env
from gflownet_crystal.envs.composition.checks import anion_symbols
from gflownet_crystal.envs.composition.patterns import FormulaSetting, Sites, patterns_of
from gflownet_crystal.envs.composition.reasons import why_empty
from gflownet_crystal.envs.composition.rules import CompositionRules, Restriction
from gflownet_crystal.envs.composition.stage import CompositionStage, CompositionState
from gflownet_crystal.envs.lattice.box import LatticeBox
from gflownet_crystal.envs.lattice.jumps import JumpState
from gflownet_crystal.envs.lattice.raw import RawBox
from gflownet_crystal.envs.lattice.settings import standardise
from gflownet_crystal.envs.lattice.shape import ShapeBox
from gflownet_crystal.envs.lattice.stage import LatticeStage
from gflownet_crystal.envs.space_group import SpaceGroupStage, SpaceGroupState
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS
from gflownet_crystal.structures.spec import CrystalSpec

COORDINATES: dict[str, type[LatticeBox]] = {"shape": ShapeBox, "raw": RawBox}


class Crystal(Env[CrystalSpec]):
    """Crystal specs under hard constraints of charge, Wyckoff positions and lattice system.

    The reference measure is counting measure over space groups and compositions times, in each lattice system,
    Lebesgue measure in the free ones of log(volume per atom), log(b / a), log(c / a) and the angles in radians
    (``coordinates=shape``), or the uniform measure of the paper's box with sides of length 1 (``raw``).

    Args:
        elements: symbols of the vocabulary.
        space_groups: allowed ITA numbers or Hermann-Mauguin symbols; all 230 if None. Those that no composition fits
            are left out.
        max_count: largest number of atoms of one element in the conventional cell.
        count_ranges: minimum and maximum number of atoms of single elements.
        n_elements: minimum and maximum number of elements.
        n_atoms: minimum and maximum number of atoms in the conventional cell.
        required_elements, excluded_elements: in every composition, and in none.
        oxidation_table: name of a table, or oxidation states by symbol, which may name a ``base`` for the others.
        mixed_valence: whether atoms of an element may differ in their oxidation state.
        metallic: whether metals, alloys and single elements pass without an ionic solution.
        formula: formula of every composition, see :mod:`~gflownet_crystal.envs.composition.patterns`; any if None.
        sites: sets of elements by letter of the formula.
        anion: the only elements with negative oxidation states; any if None.
        charge_balance: whether compositions have to be neutral; only a formula can do without.
        coordinates: ``shape`` or ``raw``.
        lattice: settings of the coordinates, see :class:`ShapeBox` and :class:`RawBox`.
        minimum_increment: smallest jump of the lattice stage after the first, as a fraction of the box.

    Attributes:
        unfillable_groups: ITA numbers asked for that no composition fits.

    Raises:
        ConfigError: an unknown name or a range that makes no sense.
        EmptySpaceError: no composition satisfies the constraints in any allowed group.
    """

    produces = "specs"

    def __init__(
        self,
        elements: Sequence[str],
        space_groups: Sequence[int | str] | None = None,
        max_count: int = 16,
        count_ranges: Mapping[str, Sequence[int]] | None = None,
        n_elements: Sequence[int] = (1, 5),
        n_atoms: Sequence[int] = (1, 50),
        required_elements: Sequence[str] = (),
        excluded_elements: Sequence[str] = (),
        oxidation_table: TableSetting = "default",
        mixed_valence: bool = True,
        metallic: bool = False,
        formula: FormulaSetting | None = None,
        sites: Sites | None = None,
        anion: str | Sequence[str] | None = None,
        charge_balance: bool = True,
        coordinates: str = "shape",
        lattice: Mapping[str, object] | None = None,
        minimum_increment: float = 0.1,
    ) -> None:
        rules = CompositionRules(
            elements=elements,
            max_count=max_count,
            count_ranges=count_ranges or {},
            n_elements=n_elements,
            n_atoms=n_atoms,
            required_elements=required_elements,
            excluded_elements=excluded_elements,
            oxidation_table=oxidation_table,
            mixed_valence=mixed_valence,
            metallic=metallic,
            formulas=patterns_of(formula, sites),
            anion=() if anion is None else anion_symbols(anion),
            charge_balance=charge_balance,
        )
        groups = range(1, N_SPACE_GROUPS + 1) if space_groups is None else space_groups
        self._build(rules, groups, _box(coordinates, lattice or {}), minimum_increment)

    def _build(
        self, rules: CompositionRules, groups: Sequence[int | str], box: LatticeBox, minimum_increment: float
    ) -> None:
        self.rules = rules
        numbers = list(dict.fromkeys(map(check_space_group, groups)))
        if not numbers:
            raise EmptySpaceError(
                "space_groups is empty; give at least one, as [225] or [Fm-3m], or null for all"
            )
        # elements that no composition holds cost nothing
        used = rules.of_usable_elements()
        self.composition = CompositionStage(used, numbers)
        kept = [group for group in numbers if bool(self.composition.fillable[group])]
        if not kept:
            raise EmptySpaceError(why_empty(rules, numbers))
        self.unfillable_groups = tuple(group for group in numbers if group not in kept)
        self.space_group = SpaceGroupStage(kept)
        self.lattice = LatticeStage(box, used.atomic_numbers, minimum_increment)
        self.stages = (self.space_group, self.composition, self.lattice)
        self.atomic_numbers = used.atomic_numbers

    def to(self, device: torch.device | str) -> Self:
        """Move all tables to ``device`` and return self."""
        for stage in (self.space_group, self.composition, self.lattice):
            stage.to(device)
        self.atomic_numbers = self.atomic_numbers.to(device)
        return self

    def objects(self, terminal: Context) -> CrystalSpec:
        group, _, state = _fields(terminal)
        lengths, angles = self.lattice.parameters(state, terminal)
        return CrystalSpec(group, self.compositions(terminal), lengths, angles)

    def encode(self, objects: CrystalSpec) -> tuple[Context, Tensor]:
        """Terminal states of specs, in the canonical one of equivalent monoclinic and orthorhombic settings.

        Returns:
            The terminal states of the specs in the space, and (n,) bool which those are: the group is allowed, the
            composition admitted and reached by the masks, and the lattice in the box.
        """
        specs = objects
        counts = specs.composition[:, self.atomic_numbers]
        group = specs.space_group.clamp(0, N_SPACE_GROUPS)
        known = self.space_group.allowed[group] & (counts.sum(dim=1) == specs.n_atoms)
        rows = known.nonzero().squeeze(1)
        rows = rows[self.composition.reached(counts[rows], group[rows])]
        context = self._discrete(group[rows], counts[rows])
        lengths, angles = specs.lengths[rows], specs.angles[rows]
        if isinstance(self.lattice.box, ShapeBox) and self.lattice.box.canonical:
            lengths, angles = standardise(group[rows], lengths, angles)
        state, within = self.lattice.from_parameters(lengths, angles, context)
        inside = torch.zeros_like(known).index_put((rows,), within)
        return context.extended(state)[within.nonzero().squeeze(1)], inside

    def translate(self, terminal: Context, origin: Env) -> tuple[Context, Tensor]:
        """See :meth:`Env.translate`; the lattice keeps its coordinates to the last bit."""
        if not isinstance(origin, Crystal) or not self.lattice.same_rules(origin.lattice):
            return super().translate(terminal, origin)
        group, _, state = _fields(terminal)
        composition = origin.compositions(terminal)
        counts = composition[:, self.atomic_numbers]
        known = self.space_group.allowed[group] & (counts.sum(dim=1) == composition.sum(dim=1))
        rows = known.nonzero().squeeze(1)
        rows = rows[self.composition.reached(counts[rows], group[rows])]
        inside = torch.zeros_like(known).index_fill(0, rows, True)
        return self._discrete(group[rows], counts[rows]).extended(state[rows]), inside

    def admits(self, objects: CrystalSpec) -> Tensor:
        """Whether each spec has allowed groups, elements and ranges, (n,) bool; the masks may still miss it.

        Charges are checked only if a formula or an anion is given; the unrestricted environment has checked the others.
        """
        counts = objects.composition[:, self.atomic_numbers]
        known = self.space_group.allowed[objects.space_group] & (counts.sum(dim=1) == objects.n_atoms)
        rules = self.composition.rules
        if not rules.formulas and not rules.anion:
            return known & rules.satisfied(counts)
        rows = known.nonzero().squeeze(1)
        reached = self.composition.reached(counts[rows], objects.space_group[rows])
        return known.index_put((rows,), reached)

    def compositions(self, terminal: Context) -> Tensor:
        """(n, 119) int64 counts by atomic number of finished states."""
        counts = _fields(terminal)[1]
        composition = counts.new_zeros(terminal.n, N_ATOMIC_NUMBERS)
        composition[:, self.atomic_numbers] = counts
        return composition

    def _discrete(self, group: Tensor, counts: Tensor) -> Context:
        stopped = torch.ones(len(group), dtype=torch.bool, device=group.device)
        states = (self.space_group.terminal(group), CompositionState(counts, stopped))
        return Context(len(group), group.device, states)

    def log_reference(self, terminal: Context) -> Tensor:
        """log |dx / du| of the lattice box at each terminal state: the lattice stage's part of the measure."""
        return self.lattice.log_jacobian(_fields(terminal)[2], terminal)

    def layout(self) -> dict[str, object]:
        """Settings in which environments have to agree for one policy to serve them.

        Elements, groups, ranges and chemistry are not among them: they are masks.
        """
        box = self.lattice.box
        return {
            "coordinates": next(name for name, kind in COORDINATES.items() if type(box) is kind),
            "lattice": dict(box.settings),
            "minimum_increment": self.lattice.minimum_increment,
            "most_counts": self.composition.most_counts,
        }

    def restrict(  # type: ignore[override]  # the contract names no constraints
        self, space_groups: Sequence[int | str] | None = None, **changes: Unpack[Restriction]
    ) -> Crystal:
        """The same environment under tighter constraints, on the same layout of actions and features.

        A policy trained in this environment samples from the restricted one as it is.

        Args:
            space_groups: the only groups to use, numbers or symbols; the present ones if None.
            **changes: tighter constraints, see :class:`Restriction`.

        Raises:
            ConfigError: a key that cannot be restricted, or a constraint that does not overlap with the present one.
            EmptySpaceError: nothing is left.
        """
        allowed = Restriction.__annotations__
        if unknown := changes.keys() - allowed:
            raise ConfigError(
                f"cannot restrict {', '.join(sorted(unknown))}; choose among space_groups, {', '.join(sorted(allowed))}"
            )
        present = self.space_group.allowed.nonzero().squeeze(1).tolist()
        groups = present if space_groups is None else [check_space_group(group) for group in space_groups]
        if foreign := sorted(set(groups) - set(present)):
            raise ConfigError(
                f"space groups {', '.join(map(str, foreign))} are not in the space that is restricted"
            )
        restricted = type(self).__new__(type(self))
        rules = self.rules.restricted(**changes)
        restricted._build(rules, groups, self.lattice.box, self.lattice.minimum_increment)
        return restricted.to(self.atomic_numbers.device)


def _fields(terminal: Context) -> tuple[Tensor, Tensor, JumpState]:
    lattice = terminal.of(JumpState)
    return terminal.of(SpaceGroupState).group, terminal.of(CompositionState).counts, lattice


def _box(coordinates: str, settings: Mapping[str, object]) -> LatticeBox:
    if coordinates not in COORDINATES:
        raise ConfigError(f"coordinates {coordinates!r} do not exist; choose one of {', '.join(COORDINATES)}")
    box = COORDINATES[coordinates]
    hints = get_type_hints(box.__init__)
    known = [name for name in hints if name != "return"]
    if foreign := [str(name) for name in settings if name not in known]:
        raise ConfigError(
            f"coordinates={coordinates} take no lattice.{', lattice.'.join(foreign)}; they take {', '.join(known)}"
        )
    return box(**{name: fitting(value, hints[name], f"lattice.{name}") for name, value in settings.items()})
