"""Any ASE calculator as an energy model: found by its dotted path, called with the user's arguments."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable
from typing import Any, Self

import torch
from ase.calculators.calculator import BaseCalculator

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.energies.choice import TARGET, EnergyChoice
from gflownet_crystal.models.energies.potential_energies import PotentialEnergies
from gflownet_crystal.models.energies.quiet_calculator import QuietCalculator, quiet
from gflownet_crystal.models.energies.reference_tables import table_of

REACH = 6.0
"""Å; structures with an atom that has no neighbour this near are not judged."""


class CalculatorEnergies(PotentialEnergies):
    """Formation energies by a calculator that the user names.

    Args:
        choice: dotted path and settings. Of these, ``corrected`` (true if not given) adds the MaterialsProject2020
            corrections, as potentials learned from energies without them need it, and ``references`` names a file of
            the elements' energies; all others are arguments of the calculator.

    Raises:
        ConfigError: there is no such calculator, it refuses its arguments, or the energies of the elements by it are
            not computed yet.
        DataError: the file of these energies is damaged.
    """

    def __init__(self, choice: EnergyChoice) -> None:
        corrected = (choice.settings or {}).get("corrected", True)
        if not isinstance(corrected, bool):
            raise ConfigError(f"corrected of {choice.name} must be true or false, not {corrected!r}")
        find_calculator(choice.name)
        self._choice, self._device = choice, torch.device("cpu")
        references = table_of(choice).energy
        super().__init__(make_calculator(choice), references, REACH, corrected)

    def to(self, device: torch.device | str) -> Self:
        """Make the calculator again on another device, where it takes one."""
        if torch.device(device) != self._device:
            self._device = torch.device(device)
            self._calculator = make_calculator(self._choice, str(device))
        return self


def make_calculator(choice: EnergyChoice, device: str = "cpu") -> QuietCalculator:
    """The calculator of a dotted path.

    Args:
        choice: a class of ASE calculators, or a function that makes one, and its arguments.
        device: handed over where the calculator takes one and the user's arguments do not say it.

    Raises:
        ConfigError: there is none at the path, it does not take the arguments, or makes no ASE calculator.
    """
    make = find_calculator(choice.name)
    arguments = choice.arguments
    if "device" in _parameters(make) and "device" not in arguments:
        arguments["device"] = device
    try:
        with quiet():
            made = make(**arguments)
    except Exception as error:  # calculators of others raise all kinds of them
        told = " ".join(f"{type(error).__name__}: {error}".split())
        raise ConfigError(f"{choice.described} makes no calculator: {told}") from error
    if not isinstance(made, BaseCalculator):
        raise ConfigError(f"{choice.described} makes a {type(made).__name__}, not an ASE calculator")
    return QuietCalculator(made)


def find_calculator(target: str) -> Callable[..., Any]:
    """Import the object at a dotted path: a class of ASE calculators, or a function."""
    module_name, _, name = target.rpartition(".")
    try:
        with quiet():
            found = getattr(importlib.import_module(module_name), name, None)
    except ImportError as error:
        raise ConfigError(
            f"{TARGET}={target}: {error}; check the path, and install the package that it belongs to"
        ) from error
    if not callable(found) or (inspect.isclass(found) and not issubclass(found, BaseCalculator)):
        what = "does not exist" if found is None else "is no ASE calculator, nor a function that makes one"
        raise ConfigError(f"{TARGET}={target} {what}")
    return found


def _parameters(make: Callable[..., Any]) -> frozenset[str]:
    """Names of the keyword arguments of a calculator; none where that cannot be read."""
    try:
        return frozenset(inspect.signature(make).parameters)
    except (TypeError, ValueError):
        return frozenset()
