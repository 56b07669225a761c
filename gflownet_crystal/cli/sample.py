"""Sample objects from a trained run and write them as a Parquet or CSV file.

The sampler can be restricted to a part of its space, without training: ``restrict.elements=[Li,Fe,O]``,
``restrict.space_groups=[225]``, ``restrict.n_atoms=[4,20]``; with ``restrict.exact=true`` its samples are distributed
as those of the whole space that fall there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig

from gflownet_crystal.cli.restricting import conditioning_of, restrictions
from gflownet_crystal.common.progress import Progress
from gflownet_crystal.common.run_schema import LOG_WEIGHT
from gflownet_crystal.config.build import verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.config.values import check_new
from gflownet_crystal.workflows.conditioning import Conditioning
from gflownet_crystal.workflows.samples import check_suffix, write_samples
from gflownet_crystal.workflows.sampling import sample_model
from gflownet_crystal.workflows.verb_settings import SampleSettings


def run(config: DictConfig) -> None:
    """The verb ``sample``."""
    config = resolved(config)
    settings = settings_of(config)
    out, n = settings.out, settings.n
    check_suffix(out)
    check_new(out, "out", settings.overwrite)
    trained = open_run(settings.run, settings.device, settings.threads, settings.trust)
    # sampling without conditions takes seconds
    with Progress(n, 0, "sampling", quiet=not (settings.restrict and settings.exact)) as progress:
        frame = sample_model(
            trained.parts.model,
            trained.parts.reward,
            n,
            settings.seed,
            batch_size=settings.batch_size,
            restrict=settings.restrict,
            exact=settings.exact,
            after_batch=lambda drawn: progress.advance(f"{drawn} of {n} samples", drawn - progress.done),
            announce=progress.note,
        )
    write_samples(out, frame)
    proxy = trained.parts.reward.proxy
    median = f"median {proxy.property_name} ({proxy.unit}) {frame['energy'].median():.4g}"
    weighted = f"their weights are in column {LOG_WEIGHT}"
    print(f"{len(frame)} samples of {settings.run} in {out}; {weighted if LOG_WEIGHT in frame else median}")


def settings_of(config: DictConfig) -> SampleSettings:
    """Settings of ``sample`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    sections = {"restrict": restrictions(config.restrict), "exact": conditioning_of(config.restrict)}
    return verb_settings(SampleSettings, config, **sections)


def sample_run(
    run_dir: Path,
    n: int,
    seed: int = 0,
    device: str = "auto",
    *,
    batch_size: int = 2048,
    restrict: Mapping[str, object] | None = None,
    exact: Conditioning | None = None,
    threads: int | None = None,
    trust: bool = False,
    after_batch: Callable[[int], None] = lambda drawn: None,
    announce: Callable[[str], None] = lambda line: None,
) -> pd.DataFrame:
    """Sample from a run folder.

    Args:
        run_dir: run folder of ``train_gfn``.
        n: objects.
        seed: random seed of the sampling.
        device: a device's name, or ``auto``.
        batch_size: trajectories at once.
        restrict: keyword arguments of the environment's ``restrict``; empty or None for the whole space.
        exact: conditioning of the distribution of the whole space on the restriction; None for the sampler
            under the tighter masks as it is.
        threads: CPU threads, or None.
        trust: build classes from outside this package that the folder names.
        after_batch: told the number of objects so far.
        announce: told in a line how exact samples are made.

    Returns:
        See :func:`gflownet_crystal.workflows.samples.draw_samples`; weighted samples have a column ``log_weight`` too.

    Raises:
        CheckpointError: no usable run folder.
        ConfigError: a restriction that the environment does not know.
        EmptySpaceError: nothing is left to sample.
    """
    trained = open_run(run_dir, device, threads, trust)
    return sample_model(
        trained.parts.model,
        trained.parts.reward,
        n,
        seed,
        batch_size=batch_size,
        restrict=restrict,
        exact=exact,
        after_batch=after_batch,
        announce=announce,
    )
