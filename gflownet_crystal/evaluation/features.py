"""Features of structures, computed by an executor and kept in a cache, so that a set is worked through once.

Structures are taken in chunks. A finished chunk is a file whose name is a digest of its structures and of the settings
of the features, versions included: it serves any later run on the same structures, and one that was stopped goes on.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol

import torch
from torch import Tensor

from gflownet_crystal.common.errors import DataError, WeightsError
from gflownet_crystal.common.files import load_tensors, save_tensors
from gflownet_crystal.common.units import Lost
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_tasks, to_crystals
from gflownet_crystal.structures.structure import StructureBatch

CHUNK = 32
"""Structures of a file in the cache."""


@dataclass(frozen=True)
class Features:
    """Features of n structures.

    Attributes:
        tensors: tensors by name, (n, ...) float64, NaN where a structure failed.
        reasons: n texts, why a structure failed; empty for the others.
    """

    tensors: dict[str, Tensor]
    reasons: list[str]

    def __len__(self) -> int:
        return len(self.reasons)

    @property
    def done(self) -> Tensor:
        """Structures that did not fail, (n,) bool."""
        return torch.tensor([not reason for reason in self.reasons], dtype=torch.bool)


class Maker(Protocol):
    """Computes features of some structures; picklable. A structure that fails is never an error."""

    @property
    def key(self) -> str:
        """A text that changes whenever the features of a structure would."""

    def __call__(self, crystals: Sequence[Crystal]) -> Features:
        """Features of at least one structure."""


def compute_features(
    structures: StructureBatch, maker: Maker, work: Work, label: str = "features"
) -> Features:
    """Features of all structures, from the cache where it has them; one that kills its worker has failed.

    Args:
        structures: n structures, n >= 1.
        maker: maker of the features.
        work: settings of the execution.
        label: name of the counted items.

    Raises:
        DataError: the cache cannot be written, or workers died of all that they were given.
        KeyboardInterrupt: a stop was asked for; finished chunks are kept.
    """
    crystals = to_crystals(structures)
    chunks = [crystals[start : start + CHUNK] for start in range(0, len(crystals), CHUNK)]
    key = maker.key
    paths = [None if work.cache is None else work.cache / _name(chunk, key) for chunk in chunks]
    kept = (None if path is None else _read(path, len(c)) for path, c in zip(paths, chunks, strict=True))
    found = {place: features for place, features in enumerate(kept) if features is not None}
    waiting = [place for place in range(len(chunks)) if place not in found]
    tasks = [chunks[place] for place in waiting]
    lost: dict[int, str] = {}
    for index, features in run_tasks(partial(_make, maker), tasks, work, label):
        place = waiting[index]
        if isinstance(features, Lost):
            lost[place] = features.reason
            continue
        found[place] = features
        if (path := paths[place]) is not None:
            save_tensors(path, features.tensors, {"reasons": json.dumps(features.reasons)})
    for place, reason in lost.items():
        found[place] = _one_by_one(maker, chunks[place], work, reason, list(found.values()))
    return _joined([found[place] for place in range(len(chunks))])


def _one_by_one(
    maker: Maker, crystals: Sequence[Crystal], work: Work, reason: str, others: Sequence[Features]
) -> Features:
    """Features of a chunk that killed its workers, computed one by one; a structure that kills again has none."""
    parts: dict[int, Features] = {}
    if len(crystals) > 1:
        tasks = [[crystal] for crystal in crystals]
        found = run_tasks(partial(_make, maker), tasks, work, "one by one")
        parts = {place: features for place, features in found if not isinstance(features, Lost)}
    if not (likes := [*parts.values(), *others]):
        raise DataError(f"no structure has features: {reason}")
    # a tensor of no rows gives one row of NaN
    failed = {
        name: tensor.new_full((1, *tensor.shape[1:]), torch.nan) for name, tensor in likes[0].tensors.items()
    }
    return _joined([parts.get(place, Features(failed, [reason])) for place in range(len(crystals))])


def _make(maker: Maker, crystals: Sequence[Crystal]) -> Features:
    return maker(crystals)


def _joined(parts: Sequence[Features]) -> Features:
    names = parts[0].tensors
    tensors = {name: torch.cat([part.tensors[name] for part in parts]) for name in names}
    return Features(tensors, [reason for part in parts for reason in part.reasons])


def _name(crystals: Sequence[Crystal], key: str) -> str:
    digest = hashlib.sha256(f"{key}\0".encode())
    for crystal in crystals:
        digest.update(str(len(crystal[1])).encode() + b"\0")
        for array in crystal:
            digest.update(array.tobytes())
    name = digest.hexdigest()
    return f"{name[:2]}/{name}.safetensors"


def _read(path: Path, n: int) -> Features | None:
    """A finished chunk; None where there is none, or a damaged one."""
    if not path.is_file():
        return None
    try:
        tensors, metadata = load_tensors(path)
        reasons = json.loads(metadata["reasons"])
    except (WeightsError, DataError, KeyError, ValueError):
        return None
    whole = len(reasons) == n and all(len(tensor) == n for tensor in tensors.values())
    return Features(tensors, reasons) if whole else None
