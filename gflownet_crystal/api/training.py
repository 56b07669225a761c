"""Training of a sampler from Python, by the engine of the verb ``train_gfn``."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from gflownet_crystal.api.run import Run
from gflownet_crystal.api.words import setting_texts
from gflownet_crystal.common.checkpoint import TrainingStopped
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import TemporaryFolder
from gflownet_crystal.common.interrupt import stop_on_signal
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.compose import TARGET, compose_config, resolved
from gflownet_crystal.config.parts import Given
from gflownet_crystal.config.run_folder import open_folder, training_run
from gflownet_crystal.config.trained_runs import TrainedRun
from gflownet_crystal.config.training import PreparedTraining, prepare_training
from gflownet_crystal.envs.base import Env
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import RewardFunction
from gflownet_crystal.workflows.candidates.hulls import ENERGIES


def train(
    env: str | Env = "crystal",
    proxy: str | Proxy | Sequence[str | Proxy] | None = None,
    *,
    reward: str | RewardFunction | None = None,
    elements: Sequence[str] | None = None,
    space_groups: Sequence[int | str] | None = None,
    n_atoms: tuple[int, int] | None = None,
    iterations: int | None = None,
    batch_size: int | None = None,
    prior: str | Path | None = "default",
    seed: int = 0,
    device: str = "auto",
    threads: int | None = None,
    folder: str | Path | None = None,
    resume: bool = False,
    condition: Mapping[str, tuple[float, float]] | None = None,
    settings: Mapping[str, object] | None = None,
    quiet: bool = False,
) -> Run:
    """Train a sampler whose samples are distributed in proportion to a reward.

    Training of crystals starts from the shipped prior of known crystals and takes minutes on a CPU. An interrupt ends
    it early, with a warning; the run can then be used.

    Args:
        env: name of an environment (``crystal``, ``crystal_89``, ``hypergrid``, ...), or an object.
        proxy: name of a proxy (``mlp``, ``e_above_hull``, ``alignn``, ``chgnet``, ...), or an object of a class of your
            own (docs/own_proxy.md), or a list of these; None for the one that goes with the environment, ``mlp`` for
            crystals.
        reward: name of a reward (``discovery``, ``boltzmann``, ``target``, ``log_value``, ``product``), or an object.
            None for ``discovery`` where the proxy predicts formation energies or energies above hull of crystals,
            ``boltzmann`` (low values are good) for a proxy object that predicts something else, and ``product`` for a
            list of proxies, whose terms are ``settings`` such as ``{"reward.band_gap.window": [1.2, 1.6]}``.
        elements: elements of the space; None for those of the environment.
        space_groups: space groups of the space, numbers or symbols; None for all.
        n_atoms: fewest and most atoms in the conventional cell; None for those of the environment.
        iterations: number of parameter updates; None for those of the trainer.
        batch_size: number of trajectories an iteration; None for those of the trainer.
        prior: sampler that training starts from and the target is relative to: ``default``, a file or a run
            folder; None to train from nothing.
        seed: random seed of weights and sampling.
        device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.
        threads: number of CPU threads; None leaves PyTorch's choice.
        folder: run folder to write; None writes nothing that outlasts the run, see :meth:`Run.save`.
        resume: whether to go on with the training in ``folder``.
        condition: ranges of settings of the reward that one sampler is trained for, as ``{"band_gap": (0, 4)}``, see
            :meth:`Run.sample`; None for one distribution.
        settings: any other setting of the verb ``train_gfn`` by its dotted key, such as
            ``{"trainer.learning_rate": 1e-4, "reward.beta": 8.0}``.
        quiet: whether to show no progress.

    Raises:
        ConfigError: an unknown name or setting, parts that do not fit, or a folder that is not empty.
        EmptySpaceError: no crystal meets the constraints.
        TrainingError: the loss is not finite.

    Example:
        >>> run = gfc.train(proxy="mlp", elements=["Li", "Mn", "O"], iterations=450)
        >>> run.sample(1000).screen(20).save("candidates")
    """
    listed = isinstance(proxy, Sequence) and not isinstance(proxy, str)
    given = Given(
        _object(env, Env, "env"),
        None if listed else _object(proxy, Proxy, "proxy"),
        _object(reward, RewardFunction, "reward"),
        _parts(proxy) if isinstance(proxy, Sequence) and listed else {},
    )
    chosen = _chosen(env, proxy, reward, given)
    named = {
        "env.elements": elements,
        "env.space_groups": space_groups,
        "env.n_atoms": n_atoms,
        "trainer.iterations": iterations,
        "trainer.batch_size": batch_size,
    }
    chosen |= {key: value for key, value in named.items() if value is not None}
    chosen |= {f"condition.{name}": list(both) for name, both in (condition or {}).items()}
    if prior != "default":
        chosen["prior"] = prior
    chosen |= {"seed": seed, "device": device, "threads": threads, "quiet": quiet, "resume": resume}
    if twice := sorted(set(chosen) & set(settings or {})):
        raise ConfigError(f"{', '.join(twice)} is given twice: as an argument and in settings")
    config = compose_config("train_gfn", setting_texts(chosen | dict(settings or {})))
    if resume and folder is None:
        raise ConfigError("resume=True needs the folder of the run: give folder=...")
    temporary = None if folder is not None else TemporaryFolder()
    path = temporary.path if temporary is not None else path_setting(folder, "folder")
    with lock_folder(path):
        config, trust = open_folder(path, config)
        training = prepare_training(resolved(config), path, trust, None, given)
        if not quiet and reward is None and _seeks_low_values(given):
            _tell(f"reward boltzmann: low values of {training.parts.reward.proxy.property_name} are sought")
        _train(training, path)
    return Run(TrainedRun(path, training.config, training.parts), temporary)


def _chosen(
    env: str | Env,
    proxy: str | Proxy | Sequence[str | Proxy] | None,
    reward: str | RewardFunction | None,
    given: Given,
) -> dict[str, object]:
    """Settings that name the parts; an object is named by its class."""
    chosen: dict[str, object] = {}
    for key, value in (("env", env), ("proxy", proxy), ("reward", reward)):
        if isinstance(value, str):
            chosen[key] = value
        elif isinstance(value, Sequence):
            chosen[key] = [one if isinstance(one, str) else _class_path(one) for one in value]
        elif value is not None:
            chosen[f"{key}.{TARGET}"] = _class_path(value)
    if reward is None and _seeks_low_values(given):
        chosen["reward"] = "boltzmann"
    return chosen


def _class_path(value: object) -> str:
    return f"{type(value).__module__}.{type(value).__qualname__}"


def _parts(proxies: Sequence[str | Proxy]) -> dict[str, Proxy]:
    """The objects of a list of proxies, by the names of their classes."""
    objects = [_object(one, Proxy, "proxy") for one in proxies]
    return {type(one).__name__: one for one in objects if one is not None}


def _seeks_low_values(given: Given) -> bool:
    """Whether a proxy object predicts energies, not energies above the hull, so that it needs another reward."""
    proxy = given.proxy
    return (
        proxy is not None
        and proxy.input_kind == "specs"
        and (proxy.property_name, proxy.unit) not in ENERGIES
    )


def _object(value: Any, contract: type[Any], key: str) -> Any:
    """An object of a contract; None for a name."""
    if value is None or isinstance(value, str):
        return None
    if isinstance(value, type) and issubclass(value, contract):
        raise ConfigError(f"{key} is the class {value.__name__}; give an object of it, as {value.__name__}()")
    if not isinstance(value, contract):
        raise ConfigError(
            f"{key} is a name or an object of a subclass of {contract.__module__}.{contract.__name__}, not "
            f"{type(value).__name__}"
        )
    return value


def _train(training: PreparedTraining, folder: Path) -> None:
    """Train, and put the weights that sampling takes in the model."""
    config, parts, engine, note = training
    if note is not None:
        warnings.warn(note, stacklevel=3)
    training_run(folder, "train_gfn", config).write_config()
    if not engine.quiet and (words := parts.reward.function.describe()):
        _tell(words)
    try:
        with stop_on_signal() as should_stop:
            engine.train(should_stop)
    except TrainingStopped:
        warnings.warn(
            f"training was interrupted after {engine.training.done} of {engine.training.steps} iterations; the run "
            "is as it stands",
            stacklevel=3,
        )
    engine.training.finish()


def _tell(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()
