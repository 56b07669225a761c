"""Trained weights that ship with the package: a safetensors file and a JSON card each, checked against each other."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from gflownet_crystal.common.allocations import at_most, elements_of
from gflownet_crystal.common.errors import WeightsError
from gflownet_crystal.common.files import load_tensors, read_json, save_tensors, write_json
from gflownet_crystal.weights.eight_bits import restored

FOLDER = Path(__file__).parent

_WHOLE = (torch.int16, torch.int32, torch.int64)
_OF_GENERATORS = ("assignments", "wyckoff", "gemsdiff", "gemsdiff_paper", "langevin", "langevin_paper")


def weights_path(weights: str | Path) -> Path:
    """The file of shipped weights by name (``"mlp"``), or of a path to a ``.safetensors`` file.

    Raises:
        WeightsError: there is no such file; the shipped names are listed.
    """
    if not isinstance(weights, str | Path):
        raise WeightsError(f"weights must be a shipped name or a .safetensors file, not {weights!r}")
    path = Path(weights)
    if path.suffix != ".safetensors":
        path = FOLDER / f"{weights}.safetensors"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in FOLDER.glob("*.safetensors")))
        made = f" that train_generator generator={weights} writes" if weights in _OF_GENERATORS else ""
        raise WeightsError(
            f"no weights {str(weights)!r}; shipped are {names or 'none'}, or give a .safetensors file{made}"
        )
    return path


def save_weights(
    path: str | Path, tensors: Mapping[str, Tensor], card: Mapping[str, Any], half: bool = False
) -> None:
    """Write weights and their card (same name, ``.json``).

    Whole numbers are stored in the smallest type that holds all values of a tensor, of uint8, int16, int32 and int64.

    Args:
        path: the ``.safetensors`` file.
        tensors: named tensors.
        card: description of the weights: data, command, seed, validation figures, units. The file's sha256 is added.
        half: store floating tensors in float16.
    """
    path = Path(path)
    stored = {
        name: tensor.half() if half and tensor.is_floating_point() else _narrow(tensor)
        for name, tensor in tensors.items()
    }
    save_tensors(path, stored)
    write_json(path.with_suffix(".json"), {**card, "sha256": _digest(path)})


def load_weights(weights: str | Path, kind: str) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Read weights and their card.

    Args:
        weights: shipped name or path.
        kind: required ``kind`` of the card.

    Returns:
        Tensors on the CPU, those of float16 and matrices of 8 bits as float32, and the card.

    Raises:
        WeightsError: a file is missing, does not match its card's sha256, or holds another kind of network.
    """
    path = weights_path(weights)
    card_path = path.with_suffix(".json")
    if not card_path.is_file():
        raise WeightsError(f"{path} has no card {card_path.name} beside it; restore it or retrain")
    try:
        card = read_json(card_path)
    except ValueError as error:
        raise WeightsError(f"the card {card_path} is not readable: {error}") from error
    if not isinstance(card, dict) or card.get("sha256") != _digest(path):
        raise WeightsError(
            f"{path} is corrupt: its sha256 is not the one of its card; restore both files or retrain"
        )
    if card.get("kind") != kind:
        raise WeightsError(f"{path} holds weights of kind {card.get('kind')!r}, but {kind!r} is needed")
    tensors = restored(load_tensors(path)[0])
    return {
        name: tensor.float() if tensor.dtype == torch.float16 else tensor for name, tensor in tensors.items()
    }, card


def tensors_under(tensors: Mapping[str, Tensor], prefix: str) -> dict[str, Tensor]:
    """Tensors whose names begin with a prefix, under the rest of their names.

    Args:
        tensors: named tensors of a weights file.
        prefix: beginning of the names, as ``network.``.
    """
    return {name.removeprefix(prefix): value for name, value in tensors.items() if name.startswith(prefix)}


def round_to_half(model: nn.Module) -> None:
    """Round parameters to the half precision that they are stored in, so that figures are those of the file."""
    for parameter in model.parameters():
        parameter.data.copy_(parameter.data.half())


def half_tensors(model: nn.Module) -> dict[str, Tensor]:
    """Tensors of a model by name: learned parameters in half precision, buffers as they are."""
    learned = {name: parameter.detach().half() for name, parameter in model.named_parameters()}
    return {**model.state_dict(), **learned}


def _narrow(tensor: Tensor) -> Tensor:
    """A tensor of int16, int32 or int64 in the smallest type that holds its values; any other one as it is."""
    if tensor.dtype not in _WHOLE or not tensor.numel():
        return tensor
    least, largest = (int(value) for value in tensor.aminmax())
    types = (torch.uint8, *_WHOLE)
    fits = (one for one in types if torch.iinfo(one).min <= least and largest <= torch.iinfo(one).max)
    return tensor.to(next(fits))


@contextmanager
def fitting_card(weights: str | Path) -> Iterator[None]:
    """Tell in one line that a network cannot be made as the card of its weights says.

    Args:
        weights: named in the error.

    Raises:
        WeightsError: the card lacks a value or has one of another kind, or the tensors are of other shapes.
    """
    with _fitting(f"{weights} does not fit its card", _sizes(weights)):
        yield


@contextmanager
def fitting_tensors(tensors: Mapping[str, Tensor], network: str) -> Iterator[None]:
    """Report in one line that tensors in memory do not fit the network of their card.

    Args:
        tensors: named tensors.
        network: name of the network in the error.

    Raises:
        WeightsError: the card lacks a value or has one of another kind, or the tensors are of other shapes.
    """
    with _fitting(f"weights do not fit {network}", elements_of(tensors)):
        yield


@contextmanager
def _fitting(refusal: str, stored: int | None) -> Iterator[None]:
    try:
        with at_most(stored):
            yield
    except WeightsError:
        raise
    except (LookupError, TypeError, ValueError, AttributeError, RuntimeError) as error:
        reason = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise WeightsError(f"{refusal} ({reason}); restore both files or retrain") from error


def _sizes(weights: str | Path) -> int | None:
    """Numbers that a weights file holds, at most; None for a run folder."""
    return None if Path(weights).is_dir() else weights_path(weights).stat().st_size


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()
