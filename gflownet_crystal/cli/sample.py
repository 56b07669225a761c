"""Sample objects from a trained run and write them as a Parquet or CSV file.

The sampler can be restricted to a part of its space, without training: ``restrict.elements=[Li,Fe,O]``,
``restrict.space_groups=[225]``, ``restrict.n_atoms=[4,20]``.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from omegaconf import DictConfig, ListConfig

from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.parts import BUILDING
from gflownet_crystal.cli.samples import check_suffix, draw_samples, write_samples
from gflownet_crystal.cli.trained_runs import TrainedRun, open_run
from gflownet_crystal.cli.values import check_new, flag, path_setting, seed_number, whole_number
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.progress import announced


def run(config: DictConfig) -> None:
    """The verb ``sample``."""
    config = resolved(config)
    out, folder = path_setting(config.out, "out"), path_setting(config.run, "run")
    check_suffix(out)
    check_new(out, "out", flag(config.overwrite, "overwrite"))
    trained = open_run(folder, config.device, config.threads, flag(config.trust, "trust"))
    frame = sample_trained(
        trained,
        whole_number(config.n, "n", 1),
        seed_number(config.seed, "seed"),
        batch_size=whole_number(config.batch_size, "batch_size", 1),
        restrict=restrictions(config.restrict),
    )
    write_samples(out, frame)
    proxy = trained.parts.reward.proxy
    median = f"median {proxy.property_name} ({proxy.unit}) {frame['energy'].median():.4g}"
    print(f"{len(frame)} samples of {folder} in {out}; {median}")


def sample_run(
    run_dir: Path,
    n: int,
    seed: int = 0,
    device: str = "auto",
    *,
    batch_size: int = 2048,
    restrict: Mapping[str, Any] | None = None,
    threads: int | None = None,
    trust: bool = False,
    after_batch: Callable[[int], None] = lambda drawn: None,
) -> pd.DataFrame:
    """Sample from a run folder.

    Args:
        run_dir: of ``train_gfn``.
        n: objects.
        seed: of the sampling.
        device: a device's name, or ``auto``.
        batch_size: trajectories at once.
        restrict: keyword arguments of the environment's ``restrict``; empty or None for the whole space.
        threads: CPU threads, or None.
        trust: build classes from outside this package that the folder names.
        after_batch: told the number of objects so far.

    Returns:
        See :func:`gflownet_crystal.cli.samples.draw_samples`.

    Raises:
        CheckpointError: no usable run folder.
        ConfigError: a restriction that the environment does not know.
        EmptySpaceError: nothing is left to sample.
    """
    trained = open_run(run_dir, device, threads, trust)
    return sample_trained(trained, n, seed, batch_size=batch_size, restrict=restrict, after_batch=after_batch)


def sample_trained(
    trained: TrainedRun,
    n: int,
    seed: int = 0,
    *,
    batch_size: int = 2048,
    restrict: Mapping[str, Any] | None = None,
    after_batch: Callable[[int], None] = lambda drawn: None,
) -> pd.DataFrame:
    """Sample from a run that is open; see :func:`sample_run`."""
    if restrict:
        _restrict(trained, restrict)
    return draw_samples(trained.parts.model, trained.parts.reward, n, batch_size, seed, after_batch)


def _restrict(trained: TrainedRun, restrict: Mapping[str, Any]) -> None:
    env = trained.parts.env
    restricted = getattr(env, "restrict", None)
    if restricted is None:
        raise ConfigError(
            f"env {type(env).__name__} cannot be restricted; leave out restrict.{next(iter(restrict))}"
        )
    with announced(BUILDING):
        narrower = restricted(**restrict)
    trained.parts.model.set_env(narrower)


def restrictions(config: DictConfig) -> dict[str, list[Any]]:
    """The restrictions that are given.

    Raises:
        ConfigError: one of them is not a list.
    """
    given: dict[str, list[Any]] = {}
    for name, value in config.items():
        if value is None:
            continue
        if not isinstance(value, ListConfig):
            raise ConfigError(f"restrict.{name!s} must be a list, as restrict.{name!s}=[...], not {value!r}")
        given[str(name)] = list(value)
    return given
