"""POSCAR and CONTCAR files of VASP."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gflownet_crystal.data.rows import Row
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS

_VECTORS = slice(2, 5)
_SPECIES = 5


@dataclass(frozen=True)
class _Header:
    """Header lines before the coordinates.

    Attributes:
        cell: (3, 3) lattice vectors as rows, Å.
        scale: (3,) factors of Cartesian coordinates.
        symbols: symbols of each kind of atom; empty where the file names none.
        counts: atoms of each kind.
        first: line of the first coordinates.
        cartesian: coordinates are Cartesian.
        selective: three flags follow each coordinate.
    """

    cell: NDArray[np.float64]
    scale: NDArray[np.float64]
    symbols: list[str]
    counts: list[int]
    first: int
    cartesian: bool
    selective: bool


def row_of_poscar(text: str, name: str) -> Row:
    """The crystal of a POSCAR.

    Symbols stand above the numbers of atoms, or behind each coordinate; a file without any does not say which elements
    it holds and is refused. A negative scale is the volume of the cell, as in VASP; velocities are not read.

    Args:
        text: text of the file.
        name: name of the crystal.

    Returns:
        The crystal, or the reason why it is none.
    """
    try:
        lines = text.splitlines()
        header = _header(lines)
        numbers = [ATOMIC_NUMBERS[symbol] for symbol in _symbols(lines, header)]
        points = _points(lines, header)
        if header.cartesian:
            cartesian = points * header.scale
            points = np.asarray(np.linalg.solve(header.cell.T, cartesian.T).T, dtype=np.float64)
    except IndexError:
        return Row(name, reason="not a whole POSCAR: it ends too early")
    except KeyError as error:
        return Row(name, reason=f"not a POSCAR of a crystal: {error.args[0]!r} is no element")
    except (ValueError, OverflowError) as error:
        return Row(name, reason=f"not a POSCAR of a crystal: {error}")
    return Row(name, header.cell, numbers, points)


def _header(lines: list[str]) -> _Header:
    vectors: NDArray[np.float64] = np.array([_floats(line.split()[:3]) for line in lines[_VECTORS]])
    if vectors.shape != (3, 3):
        raise IndexError
    scale = _scale(lines[1], vectors)
    species = [line.split() for line in lines[_SPECIES:]]
    n_symbols = next((n for n, words in enumerate(species) if words and _is_count(words[0])), None)
    if n_symbols is None:
        raise ValueError("no numbers of atoms")
    # a long list of symbols goes on over several lines, and so do the numbers of atoms
    n_lines = max(n_symbols, 1)
    symbols = [_symbol(word) for words in species[:n_symbols] for word in words]
    counts = [_count(word) for words in species[n_symbols : n_symbols + n_lines] for word in words]
    if symbols and len(symbols) != len(counts):
        raise ValueError(f"{len(symbols)} symbols for {len(counts)} numbers of atoms")
    mode = _SPECIES + n_symbols + n_lines
    selective = lines[mode].strip()[:1].lower() == "s"
    mode += selective
    letter = lines[mode].strip()[:1].lower()
    if letter not in "dckf" or not letter:
        raise ValueError(f"{lines[mode].strip()[:20]!r} is neither Direct nor Cartesian")
    with np.errstate(over="ignore"):
        scaled = vectors * scale
    if not np.isfinite(scaled).all():
        raise ValueError(f"scale {lines[1].strip()[:30]!r} makes the cell infinite")
    return _Header(scaled, scale, symbols, counts, mode + 1, letter in "ck", selective)


def _scale(line: str, vectors: NDArray[np.float64]) -> NDArray[np.float64]:
    """Factors of the three Cartesian axes."""
    words = line.split()
    factors = _floats(words[:3] if len(words) >= 3 and _are_floats(words[:3]) else words[:1])
    if len(factors) == 3 and (factors > 0.0).all():
        return factors
    if len(factors) != 1 or factors[0] == 0.0 or not np.isfinite(factors[0]):
        raise ValueError(
            f"scale {line.strip()[:30]!r} is neither a factor, three factors, nor minus a volume"
        )
    if factors[0] > 0.0:
        return np.repeat(factors, 3)
    volume = abs(np.linalg.det(vectors))
    if not volume > 0.0:
        raise ValueError("a flat cell")
    return np.repeat((-factors[0] / volume) ** (1 / 3), 3)


def _symbols(lines: list[str], header: _Header) -> list[str]:
    """The symbol of every atom."""
    n_atoms = sum(header.counts)
    if header.first + n_atoms > len(lines):
        raise IndexError
    if header.symbols:
        return [symbol for symbol, n in zip(header.symbols, header.counts, strict=True) for _ in range(n)]
    place = 6 if header.selective else 3
    words = [line.split() for line in lines[header.first : header.first + n_atoms]]
    if not all(len(line) > place for line in words):
        raise ValueError("it does not name its elements; write their symbols above the numbers of atoms")
    return [_symbol(line[place]) for line in words]


def _points(lines: list[str], header: _Header) -> NDArray[np.float64]:
    n_atoms = sum(header.counts)
    last = header.first + n_atoms
    points = np.array([_floats(line.split()[:3]) for line in lines[header.first : last]]).reshape(-1, 3)
    if last < len(lines) and len(words := lines[last].split()) >= 3 and _are_floats(words[:3]):
        raise ValueError(f"more coordinates than the {n_atoms} atoms it counts")
    return points


def _symbol(word: str) -> str:
    """``Mg`` of ``Mg_pv/f474ac0d``, as VASP writes the names of its potentials."""
    return word.split("/")[0].split("_")[0]


def _is_count(word: str) -> bool:
    return word.lstrip("+-").isdecimal()


def _count(word: str) -> int:
    if not word.isascii() or not word.isdecimal() or len(word) > 9:
        raise ValueError(f"{word[:20]!r} is no number of atoms")
    return int(word)


def _floats(words: list[str]) -> NDArray[np.float64]:
    return np.array([float(word) for word in words])


def _are_floats(words: list[str]) -> bool:
    try:
        _floats(words)
    except ValueError:
        return False
    return True
