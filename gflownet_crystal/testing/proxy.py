"""Checks of a proxy against the contract of :mod:`gflownet_crystal.proxies.base`."""

from __future__ import annotations

import copy
from typing import Any

import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.testing.references import reference_specs
from gflownet_crystal.testing.report import Faults, unchanged, watching_global_randomness
from gflownet_crystal.testing.units import check_magnitude, check_unit

TOLERANCE = 1e-6
_REPEATS = 3
_LARGE_BATCH = 257
_MAX_SINGLE_ROWS = 32

Values = tuple[Tensor, ...]


def check_proxy(
    proxy: Proxy, batch: Any = None, raise_faults: bool = True, tolerance: float = TOLERANCE
) -> list[str]:
    """Check a proxy: its declarations, and its predictions for a batch taken whole, in parts, reordered and repeated.

    Found are: missing or wrong units (of known properties: by name, and by the values of well-known crystals), values
    of the wrong shape or type, values that are not finite, negative standard deviations, values that change from call
    to call, values that depend on the rest of the batch, changed inputs, and draws from the global random state.

    Args:
        proxy: the proxy.
        batch: two or more objects of the kind that the proxy takes. Default for ``specs``: 16 well-known crystals of
            the elements H, Li, C, O, F, Mg, Si, S, Cl and Fe; other kinds have no default.
        raise_faults: raise on faults; else only return them.
        tolerance: largest difference, absolute and relative, of equal values; single precision over many steps needs
            more than the default.

    Returns:
        The faults, one text each; empty if there are none.

    Raises:
        ContractError: lists all faults found.
        ConfigError: no batch was given for a kind that has no default, or the batch is too small.
    """
    faults = Faults(f"proxy {type(proxy).__name__}")
    if not isinstance(proxy, Proxy):
        faults.add("the class does not derive from gflownet_crystal.proxies.Proxy")
        return faults.finish(raise_faults)
    takes_specs = proxy.input_kind == "specs"
    if batch is None and not takes_specs:
        raise ConfigError(f"check_proxy has no default batch of {proxy.input_kind!r}; give it one")
    given = reference_specs() if batch is None else batch
    if len(given) < 2:
        raise ConfigError("check_proxy needs a batch of at least two objects to compare rows")
    declared = check_unit(proxy, faults)
    with watching_global_randomness(faults, "predict"), torch.no_grad():
        _check_values(proxy, given, faults, tolerance)
        if declared is not None and takes_specs:
            check_magnitude(proxy, declared, batch is None, faults)
        if not isinstance(proxy.to("cpu"), Proxy):
            faults.add("to(device) does not return the proxy")
    return faults.finish(raise_faults)


def _check_values(proxy: Proxy, batch: Any, faults: Faults, tolerance: float) -> None:
    whole = _predict(proxy, batch, faults)
    if whole is None:
        return
    for column, what in zip(whole, ("value", "standard deviation"), strict=False):
        faults.add_rows(f"a {what} is not finite", ~torch.isfinite(column))
    if len(whole) == 2:
        faults.add_rows("a standard deviation is negative", whole[1] < 0.0)
    repeats = [_predict(proxy, batch, faults) for _ in range(_REPEATS)]
    if any(again is None or bool(_differ(whole, again, tolerance).any()) for again in repeats):
        faults.add("values are not deterministic: the same batch gave others in a second call")
        return
    for how, rows, size in _rearrangements(len(batch)):
        parts = [_predict(proxy, batch[part], faults) for part in rows.split(size)]
        answered = [part for part in parts if part is not None and len(part) == len(whole)]
        if len(answered) == len(parts):
            together = tuple(torch.cat(columns) for columns in zip(*answered, strict=True))
            wrong = _differ(tuple(column[rows] for column in whole), together, tolerance)
            faults.add_rows(f"values depend on the rest of the batch: other ones {how}", wrong)


def _predict(proxy: Proxy, batch: Any, faults: Faults) -> Values | None:
    """Values (and standard deviations) as float64 columns; None, with a fault noted, if they are no such columns."""
    mine = copy.deepcopy(batch)
    try:
        result = proxy.predict(mine)
    except Exception as error:
        faults.add(f"predict raised {type(error).__name__}", str(error))
        return None
    if not unchanged(batch, mine):
        faults.add("predict changes its input")
    columns = result if isinstance(result, tuple) else (result,)
    if len(columns) > 2 or not all(isinstance(column, Tensor) for column in columns):
        faults.add("predict returns neither a tensor nor a pair of tensors", type(result).__name__)
        return None
    if any(tuple(column.shape) != (len(batch),) for column in columns):
        shapes = ", ".join(str(tuple(column.shape)) for column in columns)
        faults.add(
            "predict returns the wrong shape", f"{shapes} for {len(batch)} objects instead of ({len(batch)},)"
        )
        return None
    return tuple(column.double() for column in columns)


def _rearrangements(n: int) -> list[tuple[str, Tensor, int]]:
    """Ways to ask for the rows of a batch of n again: in words, the rows, and the size of the batches asked for."""
    rows = torch.arange(n)
    repeated = rows.repeat(_LARGE_BATCH // n + 1)
    return [
        ("in reverse order", rows.flip(0), n),
        ("in half the batch", rows, (n + 1) // 2),
        ("in a larger batch", repeated, len(repeated)),
        ("alone", rows[:_MAX_SINGLE_ROWS], 1),
    ]


def _differ(left: Values, right: Values, tolerance: float) -> Tensor:
    """(n,) bool: rows that differ by more than the tolerance, absolute and relative; NaN equals NaN."""
    if len(left) != len(right):
        return torch.ones(len(left[0]), dtype=torch.bool)
    mine, theirs = torch.stack(left), torch.stack(right)
    return ~torch.isclose(mine, theirs, rtol=tolerance, atol=tolerance, equal_nan=True).all(dim=0)
