"""Rows that are sliced, filtered, sorted and shown: the base of samples and crystals."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Sequence
from typing import Any, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gflownet_crystal.api.display import html_table, text_table
from gflownet_crystal.common.errors import ConfigError, unknown
from gflownet_crystal.common.run_schema import FORMULA, SPACE_GROUP
from gflownet_crystal.crystallography.space_groups import check_space_group
from gflownet_crystal.structures.elements import ATOMIC_NUMBERS
from gflownet_crystal.structures.formulas import text_to_composition

Rows = NDArray[np.int64]
Chosen: TypeAlias = slice | Sequence[int] | Sequence[bool] | NDArray[Any] | pd.Series
"""Rows by a slice, by numbers or by a mask."""
Where: TypeAlias = str | Callable[[pd.DataFrame], Any] | Sequence[bool] | NDArray[np.bool_] | pd.Series


class Table(ABC):
    """A number of samples or crystals, one row each."""

    _shown: Sequence[str] = ()

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame.reset_index(drop=True)

    @abstractmethod
    def _take(self, rows: Rows) -> Self:
        """The rows of these numbers, in that order, as a table of its own."""

    @abstractmethod
    def _title(self) -> str:
        """The table in a line."""

    def __len__(self) -> int:
        return len(self._frame)

    def to_frame(self) -> pd.DataFrame:
        """All columns as a pandas data frame of its own, one row each."""
        return self._frame.copy()

    def filter(
        self,
        where: Where | None = None,
        *,
        elements: Sequence[str] | None = None,
        required_elements: Sequence[str] | None = None,
        space_groups: Sequence[int | str] | None = None,
        n_elements: tuple[int, int] | None = None,
        n_atoms: tuple[int, int] | None = None,
    ) -> Self:
        """The rows that meet all conditions, in their order.

        Args:
            where: condition on the columns: a pandas query (``"energy < -1"``), a function of the frame that gives a
                mask, or a mask.
            elements: the only elements that may be present.
            required_elements: elements that must all be present.
            space_groups: space groups to keep, numbers or symbols.
            n_elements: fewest and most different elements.
            n_atoms: fewest and most atoms in the cell.

        Raises:
            ConfigError: an unknown element, group or column, or rows without formulas.

        Example:
            >>> samples.filter("energy < -1", required_elements=["O"], n_atoms=(2, 12))
        """
        frame, keep = self.to_frame(), np.ones(len(self), dtype=bool)
        if where is not None:
            keep &= self._mask(where)
        if space_groups is not None:
            groups = [check_space_group(group) for group in space_groups]
            keep &= np.isin(frame[_column(frame, SPACE_GROUP)].to_numpy(), groups)
        if not all(given is None for given in (elements, required_elements, n_elements, n_atoms)):
            counts = text_to_composition(frame[_column(frame, FORMULA)].tolist()).numpy()
            if elements is not None:
                keep &= np.delete(counts, _numbers(elements), axis=1).sum(1) == 0
            if required_elements is not None:
                keep &= (counts[:, _numbers(required_elements)] > 0).all(1)
            keep &= _within((counts > 0).sum(1), n_elements, "n_elements")
            keep &= _within(counts.sum(1), n_atoms, "n_atoms")
        return self._take(np.flatnonzero(keep))

    def sort(self, by: str, *, ascending: bool = True) -> Self:
        """The rows in the order of a column, those without a value last.

        Args:
            by: name of the column.
            ascending: whether the lowest come first.

        Raises:
            ConfigError: there is no such column.
        """
        frame = self.to_frame()
        order = frame[_column(frame, by)]
        return self._take(order.sort_values(ascending=ascending, kind="stable").index.to_numpy())

    def head(self, n: int = 10) -> Self:
        """The first n rows."""
        return self._take(np.arange(len(self))[:n])

    @abstractmethod
    def __getitem__(self, key: Any) -> Any:
        """A column by its name, rows by a slice, numbers or a mask, or one row by its number.

        Raises:
            ConfigError: there is no such column, or the key is something else.
            IndexError: there is no such row.
        """

    def _get(self, key: str | int | Chosen) -> Any:
        if isinstance(key, str):
            frame = self.to_frame()
            return frame[_column(frame, key)]
        if isinstance(key, int | np.integer) and not isinstance(key, bool):
            return self._one(int(np.arange(len(self))[int(key)]))
        return self._take(self._rows(key))

    @abstractmethod
    def _one(self, row: int) -> Any:
        """One row."""

    def _rows(self, key: Chosen) -> Rows:
        every = np.arange(len(self))
        if isinstance(key, slice):
            return every[key]
        chosen = np.asarray(key)
        if chosen.size == 0:
            return every[:0]
        is_mask = chosen.dtype == bool
        if chosen.ndim != 1 or chosen.dtype.kind not in "biu" or (is_mask and len(chosen) != len(self)):
            raise ConfigError(
                f"rows are chosen by a slice, whole numbers or a mask of {len(self)} values, not {key!r:.60}"
            )
        return every[chosen]

    def _mask(self, where: Where) -> NDArray[np.bool_]:
        frame = self.to_frame()
        try:
            if isinstance(where, str):
                found = np.zeros(len(frame), dtype=bool)
                found[frame.query(where).index] = True
                return found
            mask = np.asarray(where(frame) if callable(where) else where)
        except (NameError, KeyError, SyntaxError, TypeError, ValueError) as error:
            raise ConfigError(
                f"cannot filter by {where!r}: {error}; the columns are {', '.join(map(str, frame.columns))}"
            ) from error
        if mask.shape != (len(self),) or mask.dtype != bool:
            raise ConfigError(
                f"a condition has to give {len(self)} truth values, not {mask.dtype} {mask.shape}"
            )
        return mask

    def __repr__(self) -> str:
        """The title and the first rows as text."""
        return text_table(self._title(), self.to_frame(), self._shown)

    def _repr_html_(self) -> str:
        return html_table(self._title(), self.to_frame(), self._shown)


def _column(frame: pd.DataFrame, name: str) -> str:
    if name not in frame.columns:
        raise unknown("column", name, map(str, frame.columns))
    return name


def _numbers(elements: Sequence[str]) -> list[int]:
    if isinstance(elements, str):
        raise ConfigError(f"elements are a list of symbols, as ['Li', 'O'], not {elements!r}")
    for symbol in elements:
        if symbol not in ATOMIC_NUMBERS:
            raise ConfigError(f"unknown element {symbol!r}; give symbols, as ['Li', 'O']")
    return [ATOMIC_NUMBERS[symbol] for symbol in elements]


def _within(values: NDArray[np.int64], bounds: tuple[int, int] | None, name: str) -> NDArray[np.bool_]:
    if bounds is None:
        return np.ones(len(values), dtype=bool)
    if not isinstance(bounds, Sequence) or len(bounds) != 2:
        raise ConfigError(f"{name} is the fewest and the most, as (2, 12), not {bounds!r}")
    lowest, highest = bounds
    inside: NDArray[np.bool_] = (values >= lowest) & (values <= highest)
    return inside
