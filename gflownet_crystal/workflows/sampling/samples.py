"""Samples of a trained model as a table, and their files."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import ExitStack
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from numpy.typing import NDArray
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.common.files import atomic_path
from gflownet_crystal.common.run_schema import CONDITION_PREFIX, ENERGY, ENERGY_STD, LOG_REWARD, SPACE_GROUP
from gflownet_crystal.common.tables import read_csv, read_parquet
from gflownet_crystal.envs.base import Context
from gflownet_crystal.gflownet.batch import reward_of
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.gflownet.rollout import sample_terminal
from gflownet_crystal.proxies.reward import Reward, Scored
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs, read_specs, specs_to_frame, write_specs
from gflownet_crystal.workflows.sampling.objectives import with_fronts

SUFFIXES = (".parquet", ".csv")
RESULTS = (ENERGY, ENERGY_STD, LOG_REWARD)
UNPLACED = "unplaced"
"""Column of samples that a proxy of atoms scored: whether ``energy`` is its penalty for want of atoms."""


def draw_samples(
    model: GFlowNet,
    reward: Reward,
    n: int,
    batch_size: int,
    seed: int,
    after_batch: Callable[[int], None] = lambda drawn: None,
) -> pd.DataFrame:
    """Sample ``n`` objects with the forward policy as it is.

    Args:
        model: trained.
        reward: scores the objects.
        n: objects.
        batch_size: trajectories at once.
        seed: random seed of the sampling.
        after_batch: told the number of objects so far.

    Returns:
        One row an object: the columns of a spec file for crystals, else ``x0``, ``x1``, ... and the results
        ``energy`` (the proxy's property), ``energy_std`` and ``log_reward``; of several proxies also ``NAME`` and
        ``NAME_std`` of each but the main one; the columns that the reward adds, ``condition_NAME`` of each condition,
        and ``pareto_rank`` for several objectives.

    Raises:
        ConfigError: n or batch_size below 1.
    """
    frames = []
    for frame in draw_batches(model, reward, n, batch_size, seed):
        frames.append(frame)
        after_batch(sum(map(len, frames)))
    return with_fronts(pd.concat(frames, ignore_index=True))


def draw_batches(
    model: GFlowNet, reward: Reward, n: int, batch_size: int, seed: int
) -> Iterator[pd.DataFrame]:
    """The samples of :func:`draw_samples`, a batch at a time and without ``pareto_rank``.

    Raises:
        ConfigError: n or batch_size below 1.
    """
    if n < 1 or batch_size < 1:
        raise ConfigError(f"n and batch_size must be at least 1, not {n} and {batch_size}")
    generator = torch.Generator(model.device).manual_seed(seed)
    for start in range(0, n, batch_size):
        terminal = sample_terminal(model, min(batch_size, n - start), generator)
        yield sampled_frame(model, reward, terminal)


def draw_untrained(model: GFlowNet, reward: Reward, n: int, batch_size: int, seed: int) -> pd.DataFrame:
    """Samples of another sampler than the trained one, which may meet objects that the proxy refuses.

    These get the penalty: they are no reason to lose the others. See :func:`draw_samples`.
    """
    lenient = Reward(reward.proxy, reward.function, invalid="penalise")
    return draw_samples(model, lenient, n, batch_size, seed)


def sampled_frame(model: GFlowNet, reward: Reward, terminal: Context, **added: Tensor) -> pd.DataFrame:
    """Sampled objects with their results under their conditions, and these; see :func:`scored_frame`."""
    if model.conditions is not None and terminal.condition is not None:
        values = model.conditions.values(terminal.condition)
        added |= {f"{CONDITION_PREFIX}{name}": column for name, column in values.items()}
    return scored_frame(model.env.objects(terminal), reward_of(model, reward, terminal), **added)


def scored_frame(objects: object, reward: Reward, **added: Tensor) -> pd.DataFrame:
    """Objects with their results, the columns that the reward adds, and further ones, (n,) each."""
    scored = reward(objects)
    return objects_to_frame(
        objects, scored, {**reward.function.scored_columns(objects, scored.prediction), **added}
    )


def objects_to_frame(
    objects: object, scored: Scored, added: Mapping[str, Tensor] | None = None
) -> pd.DataFrame:
    """Objects and their results as a table.

    Args:
        objects: n of them.
        scored: their results.
        added: further columns, (n,) each.

    Raises:
        ConfigError: objects that are neither specs nor an (n, d) tensor.
    """
    values = (scored.prediction.value, scored.prediction.std, scored.log_reward)
    results: dict[str, Tensor] = dict(zip(RESULTS, values, strict=True))
    for name, part in scored.prediction.parts.items():
        # the main proxy's values stand in the first columns
        if part.value is not scored.prediction.value:
            results |= {name: part.value, f"{name}_std": part.std}
    results |= added or {}
    if (unplaced := scored.prediction.unplaced) is not None:
        results[UNPLACED] = unplaced
    if isinstance(objects, CrystalSpec):
        return specs_to_frame(objects, **results)
    if not isinstance(objects, Tensor) or objects.dim() != 2:
        raise ConfigError(
            f"objects of type {type(objects).__name__} have no table; produce specs or an (n, d) tensor"
        )
    columns: dict[str, NDArray[np.float64]] = {
        f"x{index}": column for index, column in enumerate(objects.cpu().numpy().T)
    }
    return pd.DataFrame(columns | {name: value.cpu().numpy() for name, value in results.items()})


def check_suffix(path: Path) -> None:
    """Check before any work that a table can be written there.

    Raises:
        ConfigError: the suffix is neither .parquet nor .csv.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise ConfigError(f"out={path} must end in {' or '.join(SUFFIXES)}")


def write_samples(path: Path, frame: pd.DataFrame) -> None:
    """Write a table of samples in the format of the file's suffix.

    Raises:
        DataError: the folder cannot be written.
    """
    if SPACE_GROUP in frame.columns:
        write_specs(path, frame)
        return
    with atomic_path(path) as temporary:
        if path.suffix.lower() == ".csv":
            frame.to_csv(temporary, index=False)
        else:
            frame.to_parquet(temporary, index=False)


def write_batches(path: Path, frames: Iterable[pd.DataFrame]) -> NDArray[np.float64]:
    """Write batches of samples as one table, in memory that does not depend on their number.

    Args:
        path: a file ending in ``.parquet`` or ``.csv``.
        frames: batches with the same columns, at least one.

    Returns:
        (n,) the column ``energy`` of all of them.

    Raises:
        DataError: the folder cannot be written.
    """
    energies: list[NDArray[np.float64]] = []
    with atomic_path(path) as temporary, ExitStack() as opened:
        writer: pq.ParquetWriter | None = None
        for frame in frames:
            if path.suffix.lower() == ".csv":
                frame.to_csv(temporary, mode="a" if energies else "w", header=not energies, index=False)
            else:
                schema = None if writer is None else writer.schema
                table = pa.Table.from_pandas(frame, schema=schema, preserve_index=False)
                writer = writer or opened.enter_context(pq.ParquetWriter(temporary, table.schema))
                writer.write_table(table)
            energies.append(frame[ENERGY].to_numpy(dtype=np.float64))
    return np.concatenate(energies)


def read_objects(path: Path, produces: str, device: torch.device) -> CrystalSpec | Tensor:
    """Objects of a file as an environment of that kind encodes them.

    Args:
        path: a spec file, or for other kinds a table with the columns ``x0``, ``x1``, ...
        produces: the environment's kind of object.
        device: device of the tensors.

    Raises:
        DataError: the file cannot be read or lacks columns.
    """
    if produces == "specs":
        return frame_to_specs(read_specs(path), device)
    frame = read_csv(path) if path.suffix.lower() == ".csv" else read_parquet(path)
    names = [f"x{index}" for index in range(len(frame.columns)) if f"x{index}" in frame.columns]
    if not names:
        raise DataError(f"{path} has no columns x0, x1, ...; it has {', '.join(map(str, frame.columns))}")
    return torch.from_numpy(frame[names].to_numpy(dtype=np.float64, copy=True)).to(device)
