"""Crystals in files of torch tensors, as the code of CDVAE and its successors writes them, read without unpickling."""

from __future__ import annotations

import argparse
import math
import warnings
from pathlib import Path
from typing import Any

import pandas as pd
import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.structures.elements import N_ATOMIC_NUMBERS

TENSORS = ("frac_coords", "atom_types", "lengths", "angles", "num_atoms")
"""Names in a file; angles are in degrees."""

_PLAIN = (argparse.Namespace,)
"""Classes that such files hold and that run no code of theirs: published code keeps its options as ``eval_setting``."""


def read_tensor_file(path: Path) -> tuple[pd.DataFrame, int]:
    """Crystals of a file, all tries of all targets one after the other.

    Args:
        path: a dictionary with the tensors of ``TENSORS``: (N, 3), (N,), (n, 3), (n, 3) and (n,) for n crystals with N
            atoms in all, perhaps with leading dimensions that count tries. Other entries are ignored.

    Returns:
        A row of lattice, atomic_numbers and frac_coords for each crystal, and the number of tries.

    Raises:
        DataError: the file is something else, or would have to be unpickled.
    """
    stored = _load(path)
    try:
        tensors = [_numbers(stored[name]) for name in TENSORS]
        fractional, numbers, lengths, angles, sizes = tensors
        points, parameters = fractional.reshape(-1, 3), (lengths.reshape(-1, 3), angles.reshape(-1, 3))
        lattice = torch.cat(parameters, dim=1)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise _refusal(path, str(error).splitlines()[0]) from error
    counts, types = sizes.flatten(), numbers.flatten()
    if not len(counts):
        raise DataError(f"{path} has no crystals; give a file with some")
    if not bool((counts >= 0).all() and (counts % 1 == 0).all()):
        raise DataError(f"{path}: num_atoms are numbers of atoms, whole and not below 0")
    if not len(points) == len(types) == int(counts.sum()) or len(lattice) != len(counts):
        raise DataError(f"{path}: num_atoms does not fit the numbers of coordinates, types or lattices")
    if bool((angles.abs() <= math.pi).all()):
        raise DataError(f"{path}: no angle is above {math.pi:.2f}; angles are in degrees, not in radians")
    whole = counts.long().tolist()
    # one that is no element's is a fault of its crystal alone
    types = types.where((types % 1 == 0) & (types < N_ATOMIC_NUMBERS) & (types > 0), 0.0)
    frame = pd.DataFrame(
        {
            "lattice": list(lattice.numpy()),
            "atomic_numbers": [x.numpy() for x in types.split(whole)],
            "frac_coords": [x.flatten().numpy() for x in points.split(whole)],
        }
    )
    return frame, math.prod(sizes.shape[:-1])


def _load(path: Path) -> dict[str, object]:
    try:
        with torch.serialization.safe_globals(list(_PLAIN)), warnings.catch_warnings():
            # of protocols and classes that it then refuses, or reads
            warnings.simplefilter("ignore")
            stored = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises all kinds of them
        raise _refusal(path, _reason(path, error)) from error
    if not isinstance(stored, dict):
        raise _refusal(path, f"it holds a {type(stored).__name__}")
    return stored


def _reason(path: Path, error: Exception) -> str:
    """Why torch could not load a file, in a few words; its own are many, with colours."""
    try:
        with torch.serialization.safe_globals(list(_PLAIN)):
            classes = torch.serialization.get_unsafe_globals_in_checkpoint(path)
    except Exception:  # no file of torch, or a damaged one
        classes = []
    if classes:
        return f"it holds {', '.join(classes)}; save the tensors alone"
    if path.is_file():
        return "it is no whole file of torch.save"
    return str(error).splitlines()[0]


def _refusal(path: Path, reason: str) -> DataError:
    return DataError(
        f"cannot read {path}: a dictionary of the tensors {', '.join(TENSORS)}, and nothing that has to be "
        f"unpickled, is needed ({reason})"
    )


def _numbers(values: Any) -> Tensor:
    """Real numbers, float64."""
    tensor = torch.as_tensor(values).detach().to_dense()
    if tensor.is_complex():
        raise TypeError("complex numbers")
    return tensor.double()
