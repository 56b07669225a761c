"""Features are computed once: several processes, the cache, and what a stop leaves."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.executors import LocalProcesses
from gflownet_crystal.evaluation.features import CHUNK, Features, compute_features
from gflownet_crystal.evaluation.parallel import Crystal, Work, run_all
from gflownet_crystal.structures.structure import StructureBatch
from tests.common.units_that_die import DeathError, Threads
from tests.evaluation.crystals import rattled, some_crystals


@dataclass(frozen=True)
class Counting:
    """Volumes of cells, of which iron has none; each call leaves a mark."""

    folder: Path
    version: int = 1

    @property
    def key(self) -> str:
        """Of the cache."""
        return f"volumes {self.version}"

    def __call__(self, crystals: Sequence[Crystal]) -> Features:
        """Features of at least one structure."""
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{len(list(self.folder.iterdir()))}-{os.getpid()}").touch()
        reasons = ["iron" if 26 in numbers else "" for _, numbers, _ in crystals]
        volume = torch.stack([torch.from_numpy(cell).det() for cell, _, _ in crystals])
        volume[[bool(reason) for reason in reasons]] = torch.nan
        return Features({"volume": volume}, reasons)

    def calls(self) -> int:
        """Number of calls."""
        return len(list(self.folder.iterdir())) if self.folder.is_dir() else 0


def many(n: int) -> StructureBatch:
    """n structures, all different."""
    return StructureBatch.cat([rattled(some_crystals(), 0.1, seed) for seed in range(-(-n // 8))])[:n]


def same(first: Features, second: Features) -> bool:
    close = torch.equal(first.tensors["volume"].nan_to_num(), second.tensors["volume"].nan_to_num())
    return close and first.reasons == second.reasons


def test_the_cache_serves_the_same_structures_and_no_others(tmp_path: Path):
    batch = many(2 * CHUNK + 5)
    maker, work = Counting(tmp_path / "calls"), Work(cache=tmp_path / "cache")
    first = compute_features(batch, maker, work)
    plain = compute_features(batch, Counting(tmp_path / "other"), Work())
    assert same(first, plain) and len(first) == len(batch) and maker.calls() == 3
    assert first.tensors["volume"].isnan().tolist() == [26 in row for row in _numbers(batch)]
    assert same(compute_features(batch, maker, work), first) and maker.calls() == 3
    # one atom moved in the last chunk, another version of the features, a damaged file
    batch.fractional[-1] += 0.01
    compute_features(batch, maker, work)
    assert maker.calls() == 4
    compute_features(batch[:CHUNK], Counting(tmp_path / "calls", version=2), work)
    assert maker.calls() == 5
    kept = sorted((tmp_path / "cache").rglob("*.safetensors"))
    for file in kept:
        file.write_bytes(file.read_bytes()[:50])
    assert same(compute_features(batch[:CHUNK], maker, work), compute_features(batch[:CHUNK], maker, Work()))


def test_a_stop_keeps_what_is_done(tmp_path: Path):
    batch, maker = many(3 * CHUNK), Counting(tmp_path / "calls")
    asked = iter([False, True])
    with pytest.raises(KeyboardInterrupt):
        compute_features(batch, maker, Work(cache=tmp_path / "cache", should_stop=lambda: next(asked)))
    assert maker.calls() == 1
    assert len(compute_features(batch, maker, Work(cache=tmp_path / "cache"))) == len(batch)
    assert maker.calls() == 3


def _numbers(batch: StructureBatch) -> list[list[int]]:
    return [numbers.tolist() for numbers in batch.atomic_numbers.split(batch.n_atoms.tolist())]


def _half(number: int) -> float:
    if number == 99:
        raise DeathError
    return number / 2


def test_several_processes_give_results_in_order_and_a_death_is_told():
    assert run_all(_half, range(7), Work(LocalProcesses(2)), "halves") == [n / 2 for n in range(7)]
    with pytest.raises(DataError, match="halves: a task has no result, as its worker died"):
        run_all(_half, [1, 99, 3], Work(Threads()), "halves")


@dataclass(frozen=True)
class Fatal:
    """Volumes of cells; iron kills its process."""

    @property
    def key(self) -> str:
        """Of the cache."""
        return "fatal"

    def __call__(self, crystals: Sequence[Crystal]) -> Features:
        """Features of at least one structure."""
        if any(26 in numbers for _, numbers, _ in crystals):
            raise DeathError
        volume = torch.stack([torch.from_numpy(cell).det() for cell, _, _ in crystals])
        return Features({"volume": volume}, [""] * len(crystals))


def test_a_structure_that_kills_its_worker_fails_alone_and_is_not_kept(tmp_path: Path):
    batch = many(CHUNK + 2)
    has_iron = [26 in row for row in _numbers(batch)]
    assert 0 < sum(has_iron[:CHUNK]) < 5 and not any(has_iron[CHUNK:])
    work = Work(Threads(), cache=tmp_path)
    found = compute_features(batch, Fatal(), work)
    assert [bool(reason) for reason in found.reasons] == has_iron
    assert found.tensors["volume"].isnan().tolist() == has_iron
    whole = torch.tensor([not iron for iron in has_iron])
    assert torch.equal(found.tensors["volume"][whole], batch.cell.det()[whole])
    # the other chunk alone
    assert len(list(tmp_path.rglob("*.safetensors"))) == 1
