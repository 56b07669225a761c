"""Whether a proxy declares the unit that its property has, and returns values in it."""

from __future__ import annotations

import copy
import math

import torch

from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.testing.references import Property, known_properties, reference_specs
from gflownet_crystal.testing.report import Faults

# a good proxy, a functional that halves band gaps and a cold cell against a warm one all stay within this factor
ALLOWED_FACTOR = 2.4
_LIKELY_UNIT = 0.3
_SMALL = 0.1


def check_unit(proxy: Proxy, faults: Faults) -> Property | None:
    """Check the declarations of a proxy; returns the property if it is known and its unit is one of it."""
    for name in ("input_kind", "property_name", "unit"):
        if not (isinstance(getattr(proxy, name, None), str) and getattr(proxy, name).strip()):
            faults.add(f"the class attribute {name} is missing or empty")
            return None
    known = known_properties().get(proxy.property_name)
    if known is not None and conversion(known, proxy.unit) is None:
        units = ", ".join(known.units)
        faults.add("the wrong unit is declared", f"{proxy.property_name} is in {units}, not {proxy.unit!r}")
        return None
    return known


def conversion(known: Property, unit: str) -> float | None:
    """Units of this name in one of the property's first unit; None if the property has no such unit."""
    spelled = {_plain(name): factor for name, factor in known.units.items()}
    return spelled.get(_plain(unit))


def _plain(unit: str) -> str:
    """A unit's name without spaces, powers' carets and special letters."""
    plain = unit.replace(" ", "").replace("^", "").replace("**", "")
    return plain.replace("³", "3").replace("Å", "A").replace("\u212b", "A").replace("Angstrom", "A").lower()


def check_magnitude(proxy: Proxy, declared: Property, must_answer: bool, faults: Faults) -> None:
    """Compare a proxy's values of well-known crystals with measured ones.

    Args:
        proxy: predicts a known property of specs.
        declared: the property.
        must_answer: whether the crystals lie in the proxy's range by assumption; else it may refuse them.
        faults: takes note of values that are off by a common factor.
    """
    factor = conversion(declared, proxy.unit) or 1.0
    measured = torch.tensor(declared.values, dtype=torch.float64) * factor
    usable = measured.isfinite()
    if not bool(usable.any()):
        return
    usable &= measured.abs() > _SMALL * measured[usable].abs().max()
    try:
        result = proxy.predict(copy.deepcopy(reference_specs()))
        values = (result[0] if isinstance(result, tuple) else result).double()
        ratio = float((values[usable] / measured[usable]).nanmedian())
    except Exception as error:
        if must_answer:
            faults.add(
                "values of well-known crystals could not be compared", f"{type(error).__name__}: {error}"
            )
        return
    if math.isnan(ratio):
        return
    if not 1.0 / ALLOWED_FACTOR <= ratio <= ALLOWED_FACTOR:
        example = (
            f"well-known crystals come out {ratio:.3g} times their {proxy.property_name} in {proxy.unit}"
        )
        faults.add(
            "the wrong unit is declared (or the wrong sign or property)",
            example + _likely_unit(declared, factor * ratio),
        )


def _likely_unit(declared: Property, factor: float) -> str:
    """Words on the unit that values seem to be in, if they are ``factor`` times those in the first unit."""
    if factor <= 0.0:
        return ""
    near = [unit for unit, one in declared.units.items() if abs(math.log(factor / one)) < _LIKELY_UNIT]
    return f", as if in {' or '.join(near)}" if near else ""
