"""Workers of dask: deaths cost their unit alone, connections last, and each fault is one line."""

from __future__ import annotations

import builtins
import os
import signal
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from gflownet_crystal.common import dask_executors, dask_jobs, dask_pool
from gflownet_crystal.common.dask_executors import DaskJobs, DaskWorkers
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.units import Lost, run_units
from tests.common.units_that_die import FATAL, Squares


@pytest.fixture(scope="module")
def two() -> Iterator[DaskWorkers]:
    pytest.importorskip("distributed")
    executor = DaskWorkers(processes=2, retries=1)
    yield executor
    executor.close()


def test_deaths_cost_their_unit_alone(two: DaskWorkers, tmp_path: Path) -> None:
    squares = Squares(tmp_path, once=frozenset({7}))
    found = dict(run_units(squares, [*range(30), FATAL], two))
    assert found.pop(30) == Lost("its worker died 2 times, perhaps for want of memory")
    assert found == {number: number * number for number in range(30)}
    assert 2 <= squares.calls(FATAL) <= 3


def test_a_worker_that_dies_before_its_result_is_fetched_costs_another_try(
    two: DaskWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    distributed = pytest.importorskip("distributed")
    assert dict(run_units(Squares(tmp_path), range(2), two)) == {0: 0, 1: 1}
    client, fetched = dask_executors._CLIENTS[two], distributed.Client._gather
    deaths = [distributed.KilledWorker("unit", None, 1)]

    async def lost_once(self: object, *args: object, **kwargs: object) -> object:
        if deaths:
            raise deaths.pop()
        return await fetched(self, *args, **kwargs)

    monkeypatch.setattr(type(client), "_gather", lost_once)
    found: dict[int, object] = {}
    work = threading.Thread(
        target=lambda: found.update(run_units(Squares(tmp_path), range(4), two)), daemon=True
    )
    work.start()
    work.join(timeout=60.0)
    assert not work.is_alive() and not deaths
    assert found == {number: number * number for number in range(4)}


def test_a_scheduler_serves_another_connection_and_counts_its_own_deaths(
    two: DaskWorkers, tmp_path: Path
) -> None:
    other = DaskWorkers(scheduler=dask_executors._CLIENTS[two].cluster.scheduler_address)
    assert dict(run_units(Squares(tmp_path), range(10), other)) == {n: n * n for n in range(10)}
    with pytest.raises(ValueError, match="processes is for workers on this machine"):
        DaskWorkers(scheduler="tcp://host:1", processes=2)
    other.close()


def test_workers_that_their_nannies_lose_are_started_again(
    two: DaskWorkers, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(dask_pool, "_RENEW_SECONDS", 1.0)
    assert dict(run_units(Squares(tmp_path), range(2), two)) == {0: 0, 1: 1}
    cluster = dask_executors._CLIENTS[two].cluster
    asked = len(cluster.worker_spec)
    for nanny in list(cluster.workers.values()):
        cluster.sync(nanny.close)
    assert dict(run_units(Squares(tmp_path), range(4), two)) == {n: n * n for n in range(4)}
    assert len(cluster.worker_spec) == asked


def test_jobs_are_asked_for_and_end_with_the_connection(tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    # its jobs are processes of this machine
    jobs = DaskJobs("dask_jobqueue.local.LocalCluster", jobs=1, memory="1GB", options=_LOCAL)
    try:
        assert dict(run_units(Squares(tmp_path), range(5), jobs)) == {n: n * n for n in range(5)}
    finally:
        jobs.close()


def test_a_job_that_is_over_is_submitted_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    monkeypatch.setattr(dask_jobs, "_OVER_SECONDS", 1.0)
    jobs = DaskJobs(
        "dask_jobqueue.local.LocalCluster", jobs=1, memory="1GB", processes=2, options=_LOCAL, retries=9
    )
    found = dict[int, object]()
    try:
        for place, square in run_units(Squares(tmp_path, seconds=1.0), range(5), jobs):
            found[place] = square
            if len(found) == 1:
                submitted = dask_executors._CLIENTS[jobs].cluster.workers
                os.kill(int(next(iter(submitted.values())).job_id), signal.SIGKILL)
    finally:
        jobs.close()
    assert found == {number: number * number for number in range(5)}


def test_jobs_that_are_refused_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("dask_jobqueue")
    refusal = "sbatch: error: Batch job submission failed: Invalid account"
    command = tmp_path / "sbatch"
    command.write_text(f"#!/bin/sh\necho '{refusal}' >&2\nexit 1\n")
    command.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    jobs = DaskJobs("dask_jobqueue.SLURMCluster", jobs=2, memory="1GB", options=_LOCAL)
    with pytest.raises(ConfigError, match=f"^executor: SLURMCluster cannot be started: {refusal}$"):
        list(run_units(Squares(tmp_path), range(3), jobs))


_LOCAL = {"local_directory": "/tmp", "interface": "lo"}


@pytest.mark.parametrize(
    ("executor", "words"),
    [
        (
            DaskWorkers(scheduler="tcp://127.0.0.1:9", timeout=1),
            "no scheduler of dask answers at executor.sch",
        ),
        (DaskWorkers(scheduler="nowhere", timeout=1), "no scheduler of dask answers"),
        (
            DaskWorkers(scheduler="missing.json", timeout=1),
            "executor.scheduler=missing.json: no such scheduler",
        ),
        (DaskJobs("dask_jobqueue.Nothing", 1, "1GB"), "executor.cluster=dask_jobqueue.Nothing is no cluster"),
        (DaskJobs("no_such_module.Cluster", 1, "1GB"), "executor.cluster=no_such_module.Cluster: No module"),
        (
            DaskJobs("dask_jobqueue.SLURMCluster", 1, "lots"),
            "executor: SLURMCluster cannot be started: Could not interpret",
        ),
    ],
    ids=str,
)
def test_faults_are_one_line(executor: DaskWorkers | DaskJobs, words: str, tmp_path: Path) -> None:
    pytest.importorskip("dask_jobqueue")
    with pytest.raises(ConfigError, match=f"^{words}") as raised:
        list(run_units(Squares(tmp_path), range(3), executor))
    assert "\n" not in str(raised.value)


def test_dask_that_is_not_installed_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in sys.modules if name.split(".")[0] in ("dask", "distributed")]:
        monkeypatch.delitem(sys.modules, name)
    real = builtins.__import__

    def without(name: str, *rest: object) -> object:
        if name.split(".")[0] in ("dask", "distributed"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)
        return real(name, *rest)  # type: ignore[arg-type]

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ConfigError, match=r"^dask is not installed; .*\[cluster\].*executor=local$"):
        list(run_units(Squares(tmp_path), range(3), DaskWorkers()))
