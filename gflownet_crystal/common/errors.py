"""The package's errors: each is a ``ValueError`` that names the given value, the allowed ones and the remedy."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Self


class GFlowNetCrystalError(ValueError):
    """Base of all errors a user can cause; scripts print it as one line and exit with status 2."""


class ConfigError(GFlowNetCrystalError):
    """A configuration key, name or value is unknown or out of range."""


class DataError(GFlowNetCrystalError):
    """A data file is missing, malformed or lacks a column."""


class WeightsError(GFlowNetCrystalError):
    """A weights file is missing, corrupt or does not fit the network."""


class CheckpointError(GFlowNetCrystalError):
    """A run folder or checkpoint is missing, corrupt or belongs to another configuration."""

    @classmethod
    def of_other_settings(cls, path: Path, error: Exception) -> Self:
        """Error for a checkpoint at ``path`` that does not fit the settings, with the reason in ``error``."""
        reason = str(error).splitlines()[0]
        return cls(
            f"checkpoint {path} belongs to another configuration ({reason}); resume with the settings of the run"
        )


class TrainingError(GFlowNetCrystalError):
    """A training cannot go on: the loss or its gradient is not finite, or nothing is left to train."""


class EmptySpaceError(GFlowNetCrystalError):
    """The constraints leave no object to sample."""


class ActionError(GFlowNetCrystalError):
    """An action was taken that its state does not allow."""


class PolicyError(GFlowNetCrystalError):
    """The outputs of a policy are no numbers to draw actions with."""


class ProxyError(GFlowNetCrystalError):
    """A proxy broke its contract: wrong shape, NaN, or input outside its range."""


class ContractError(GFlowNetCrystalError):
    """A class breaks the contract that it implements.

    Args:
        subject: the class or object.
        faults: violations of the contract, one text each.
    """

    def __init__(self, subject: str, faults: Sequence[str]) -> None:
        self.faults = list(faults)
        super().__init__(f"{subject} has {len(self.faults)} fault(s): " + "; ".join(self.faults))


def unknown(what: str, given: str, allowed: Iterable[str]) -> ConfigError:
    """The error for a name that is not among the allowed ones, with the nearest of them."""
    names = sorted(allowed)
    close = get_close_matches(given, names, n=1)
    hint = f" (did you mean {close[0]}?)" if close else ""
    return ConfigError(f"unknown {what} {given!r}{hint}; choose one of {', '.join(names) or 'none'}")
