"""Values of the cards of candidates: energies, structures, evidence, and the nearest known crystal."""

from __future__ import annotations

import base64
from collections.abc import Mapping
from dataclasses import dataclass, field

from gflownet_crystal.report.cells import Cell

FormulaParts = list[tuple[str, str]]
"""Symbols with their counts as text, "" for one."""


@dataclass(frozen=True)
class Model:
    """Structure of a CIF.

    Attributes:
        file: name of the file.
        cell: unit cell.
    """

    file: str
    cell: Cell

    @property
    def link(self) -> str:
        """Address that holds the file."""
        return data_link(self.cell.cif.encode(), "chemical/x-cif")


def data_link(content: bytes, kind: str) -> str:
    """A file as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"


@dataclass(frozen=True)
class EndCell:
    """Relaxed cell.

    Attributes:
        lengths: a, b, c in Å.
        angles: alpha, beta, gamma in degrees.
        volume_per_atom: volume per atom in Å^3.
    """

    lengths: list[float]
    angles: list[float]
    volume_per_atom: float


@dataclass(frozen=True)
class KnownCrystal:
    """Known crystal that is the nearest to a candidate.

    Attributes:
        name: name in the reference, or "".
        formula: reduced formula.
        space_group: ITA number.
        symbol: Hermann-Mauguin symbol.
        distance: share of the atoms that would have to change their element.
        same_formula: whether the formulas are equal.
        same_group: whether the space groups are equal.
        rms: distance of matched sites in units of the cube root of the volume per atom; None where none match.
        n_compared: number of known crystals whose atoms were compared.
        volume_per_atom: volume per atom in Å^3.
        energy: property of the known crystal.
    """

    name: str
    formula: FormulaParts
    space_group: int
    symbol: str
    distance: float
    same_formula: bool
    same_group: bool
    rms: float | None
    n_compared: int
    volume_per_atom: float | None
    energy: float | None


@dataclass(frozen=True)
class Evidence:
    """Evidence for and against a candidate.

    Attributes:
        mark: the worst of all marks; "" where there is no evidence.
        reasons: why it is not good.
        marks: marks by the name of each energy above the hull.
        far_below: whether one of these energies lies far below the hull.
    """

    mark: str = ""
    reasons: list[str] = field(default_factory=list)
    marks: Mapping[str, str] = field(default_factory=dict)
    far_below: bool = False


@dataclass(frozen=True, kw_only=True)
class Rated:
    """Candidate with its energies, eV/atom (the property in its own unit), None where not known.

    Attributes:
        rank: rank from 1.
        energy: predicted property.
        energy_std: standard deviation of the prediction.
        e_above_hull: predicted energy above the hull.
        status: status of the relaxation; None where there was none.
        judged: judged energy after relaxation.
        judged_before: judged energy as placed.
        relaxer_after: energy by the model that relaxed.
        second_above_hull: energy above the hull by the model that relaxed, where another one judges.
        judged_shift: judged minus predicted energy.
        judged_above_hull: judged energy above the hull after relaxation.
        placed_above_hull: judged energy above the hull as placed.
        volume_change: relative change of the volume.
        rms_displacement: root mean square of the displacements, Å.
        max_displacement: largest displacement, Å.
        relax_steps: number of steps of the relaxation.
        group_after: space group after relaxation.
        symbol_after: its Hermann-Mauguin symbol.
        contact: impossible contact, such as ``F-F 1.26`` (Å); "" for none.
        hull_entries: number of known crystals that the hull rests on.
        placed: structure as placed.
    """

    rank: int
    energy: float | None = None
    energy_std: float | None = None
    e_above_hull: float | None = None
    status: str | None = None
    judged: float | None = None
    judged_before: float | None = None
    relaxer_after: float | None = None
    second_above_hull: float | None = None
    judged_shift: float | None = None
    judged_above_hull: float | None = None
    placed_above_hull: float | None = None
    volume_change: float | None = None
    rms_displacement: float | None = None
    max_displacement: float | None = None
    relax_steps: float | None = None
    group_after: int | None = None
    symbol_after: str | None = None
    contact: str = ""
    hull_entries: float | None = None
    placed: Model | None = None


@dataclass(frozen=True, kw_only=True)
class Card(Rated):
    """Everything that the page shows of a candidate.

    Attributes:
        same_as: rank of the candidate that is the same crystal; None for itself.
        formula: reduced formula.
        name: reduced formula as one word.
        cell_formula: formula of the conventional cell.
        elements: symbols.
        n_atoms: number of atoms in the conventional cell.
        space_group: ITA number asked for.
        symbol: its Hermann-Mauguin symbol.
        system: crystal-lattice system.
        lengths: a, b, c in Å.
        angles: alpha, beta, gamma in degrees.
        volume_per_atom: volume per atom in Å^3.
        density: density in g/cm^3.
        relaxed: relaxed structure, where it has a file of its own.
        is_relaxed: whether ``placed`` is the relaxed structure.
        end: cell after relaxation.
        known: nearest known crystal.
        evidence: evidence for and against it.
        new: how new it is, in words.
        other: further columns of the table, as text.
    """

    same_as: float | None
    formula: FormulaParts
    name: str
    cell_formula: str
    elements: list[str]
    n_atoms: int
    space_group: int
    symbol: str
    system: str
    lengths: list[float]
    angles: list[float]
    volume_per_atom: float
    density: float
    relaxed: Model | None = None
    is_relaxed: bool = False
    end: EndCell | None = None
    known: KnownCrystal | None = None
    evidence: Evidence = field(default_factory=Evidence)
    new: str = ""
    other: Mapping[str, str] = field(default_factory=dict)
