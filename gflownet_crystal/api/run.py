"""A trained sampler: loaded from a folder, sampled, saved."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd

from gflownet_crystal.api.samples import Samples
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.files import TemporaryFolder
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.run_schema import METRICS
from gflownet_crystal.common.values import path_setting, seed_number, whole_number
from gflownet_crystal.config.build import plain_section
from gflownet_crystal.config.parts import Given, Parts
from gflownet_crystal.config.trained_runs import TrainedRun, open_run
from gflownet_crystal.envs.base import Env
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.reward import Reward, RewardFunction
from gflownet_crystal.workflows.output_folder import holds_nothing
from gflownet_crystal.workflows.sampling.conditioning import METHODS, Conditioning
from gflownet_crystal.workflows.sampling.sampling import sample_model


class Run:
    """A trained sampler, as :func:`gflownet_crystal.train` and :func:`gflownet_crystal.load` give it.

    Args:
        trained: model, reward, configuration and folder.
        temporary: folder that goes with this object; None where the run has a lasting one.

    Attributes:
        name: name of the folder, the prior, or environment and proxy.
        model: the GFlowNet with its trained weights.
        reward: proxy and reward function.
        config: the resolved configuration.
    """

    def __init__(self, trained: TrainedRun, temporary: TemporaryFolder | None = None) -> None:
        self.model: GFlowNet = trained.parts.model
        self.reward: Reward = trained.parts.reward
        self.config: dict[str, object] = plain_section(trained.config, "configuration")
        self._trained, self._path, self._temporary = trained, trained.folder, temporary
        choices = trained.config.record.choices
        self.name = trained.folder.name if temporary is None else f"{choices.env}_{choices.proxy}"

    @property
    def env(self) -> Env:
        """The space that is sampled."""
        return self.model.env

    @property
    def proxy(self) -> Proxy:
        """The proxy that scores samples."""
        return self.reward.proxy

    @property
    def property_name(self) -> str:
        """Property that the proxy predicts, the column ``energy`` of samples."""
        return self.proxy.property_name

    @property
    def unit(self) -> str:
        """Unit of the property."""
        return self.proxy.unit

    @property
    def folder(self) -> Path | None:
        """The run folder, for the verbs of the command line; None where the run is in memory alone, or a prior."""
        return self._path if self._temporary is None and self._path.is_dir() else None

    def sample(
        self,
        n: int = 1000,
        *,
        elements: Sequence[str] | None = None,
        excluded_elements: Sequence[str] | None = None,
        required_elements: Sequence[str] | None = None,
        space_groups: Sequence[int | str] | None = None,
        n_elements: tuple[int, int] | None = None,
        n_atoms: tuple[int, int] | None = None,
        formula: str | Mapping[str, int] | None = None,
        sites: Mapping[str, str | Sequence[str]] | None = None,
        anion: str | Sequence[str] | None = None,
        exact: bool | str | Conditioning = False,
        condition: Mapping[str, float] | None = None,
        seed: int = 0,
        batch_size: int = 2048,
        quiet: bool = False,
    ) -> Samples:
        """Sample, from the whole space or a part of it; no training is needed for a part.

        Args:
            n: number of samples.
            elements: the only elements that may be present.
            excluded_elements: elements to leave out.
            required_elements: elements that each sample must hold.
            space_groups: space groups to keep, numbers or symbols.
            n_elements: fewest and most different elements.
            n_atoms: fewest and most atoms in the conventional cell.
            formula: formula of each sample: a ratio as ``"LiFePO4"``, counts of the conventional cell as
                ``{"Na": 4, "Cl": 4}``, or a family as ``"A2BX4"``.
            sites: elements of each letter of the formula, as ``{"A": ["Li", "Na"], "X": ["O"], "B": "any"}``.
            anion: the only elements with negative oxidation states.
            exact: method for samples of the part as the whole sampler makes them there: ``"rejection"``, ``"weights"``,
                or True for whichever is workable; False for its policy under tighter masks.
            condition: target values of a conditional run, as ``{"band_gap": 1.5}``; targets that are left out are
                drawn from their ranges.
            seed: random seed.
            batch_size: number of trajectories at once.
            quiet: whether to show no progress.

        Raises:
            ConfigError: a restriction that the environment does not know, or a value out of range.
            EmptySpaceError: nothing is left to sample.

        Example:
            >>> run.sample(1000, elements=["Li", "O"], space_groups=[225, "P6_3/mmc"])
        """
        given = {
            "elements": elements,
            "excluded_elements": excluded_elements,
            "required_elements": required_elements,
            "space_groups": space_groups,
            "n_elements": n_elements,
            "n_atoms": n_atoms,
        }
        restrict: dict[str, object] = {
            name: _listed(value, name) for name, value in given.items() if value is not None
        }
        asked = {"formula": formula, "sites": sites, "anion": anion}
        restrict |= {name: value for name, value in asked.items() if value is not None}
        n, seed = whole_number(n, "n", 1), seed_number(seed, "seed")
        size = whole_number(batch_size, "batch_size", 1)
        how = _conditioning(exact)
        parts = self.parts_at(condition or {})
        frame = sample_model(
            parts.model,
            parts.reward,
            n,
            seed,
            batch_size=size,
            restrict=restrict,
            exact=how,
            quiet=quiet,
            shown=n > size,
        )
        return Samples(frame, self, restrict, condition or {})

    def parts_at(self, condition: Mapping[str, float]) -> Parts:
        """The parts of the run with conditions held at values."""
        return self._trained.at(condition).parts

    def history(self) -> pd.DataFrame:
        """The metrics of each training step, a row each: loss, log Z, mean log-reward and energy, gradient norm.

        Example:
            >>> run.history().plot("step", "mean_energy")
        """
        path = self._path / METRICS
        return pd.DataFrame(read_metrics(path) if path.is_file() else [])

    def save(self, folder: str | Path) -> Path:
        """Write the run folder, which :func:`gflownet_crystal.load` and the verbs of the command line read.

        Args:
            folder: folder that is new or empty.

        Returns:
            The folder.

        Raises:
            ConfigError: it is not empty, or nothing was trained.

        Example:
            >>> run.save("runs/oxides")
        """
        target = path_setting(folder, "folder")
        if not self._path.is_dir():
            raise ConfigError(f"{self.name} is a prior and has no run folder: load it by its name")
        if target.is_file() or not holds_nothing(target):
            raise ConfigError(f"folder={target} is not empty; give another one")
        shutil.copytree(self._path, target, dirs_exist_ok=True, ignore=shutil.ignore_patterns(".*"))
        return target

    def __repr__(self) -> str:
        """Name, space, reward and length of the training."""
        return "\n".join(f"{name}: {value}" for name, value in self._facts().items())

    def _repr_html_(self) -> str:
        return pd.DataFrame(self._facts().items()).to_html(header=False, index=False, border=0)

    def _facts(self) -> dict[str, str]:
        history = self.history()
        facts = {
            "run": self.name,
            "environment": type(self.env).__name__,
            "proxy": f"{type(self.proxy).__name__}, {self.property_name} ({self.unit})",
            "reward": type(self.reward.function).__name__,
        }
        if len(history):
            last = history.tail(max(1, len(history) // 20))["mean_energy"].mean()
            facts["training"] = f"{int(history['step'].max())} iterations, mean energy {last:.3f} at the end"
        return facts | {"folder": "none, in memory" if self.folder is None else str(self.folder)}


def load(
    source: str | Path,
    *,
    device: str = "auto",
    threads: int | None = None,
    env: Env | None = None,
    proxy: Proxy | Sequence[Proxy] | None = None,
    reward: RewardFunction | None = None,
    trust: bool = False,
) -> Run:
    """Load a trained sampler, or a prior, to sample without training.

    Args:
        source: run folder, or a prior: the name of shipped weights (``"prior"``) or a ``.safetensors`` file.
        device: name of the device, ``cpu``, ``cuda``, ...; ``auto`` for a GPU if there is one.
        threads: number of CPU threads; None leaves PyTorch's choice.
        env: object in place of the environment that the folder names.
        proxy: object in place of the proxy that the folder names, for a class with settings of your own; of several
            proxies a list of such objects.
        reward: object in place of the reward function that the folder names.
        trust: whether to build classes from outside this package that the folder names.

    Raises:
        CheckpointError: no run folder, no checkpoint, or one that does not fit.
        WeightsError: a prior that is missing or corrupt.
        ConfigError: a class from outside this package without ``trust``.

    Example:
        >>> gfc.load("prior").sample(100, elements=["Na", "Cl"])
        >>> gfc.load("runs/oxides")
    """
    path = path_setting(source, "source")
    if isinstance(proxy, Sequence):
        given = Given(env, None, reward, {type(one).__name__: one for one in proxy})
    else:
        given = Given(env, proxy, reward)
    return Run(open_run(path, device, threads, trust, given))


def _listed(value: object, name: str) -> list[object]:
    if isinstance(value, str) or not hasattr(value, "__iter__"):
        raise ConfigError(f"{name} is a list, as {name}=[...], not {value!r}")
    return list(value)


def _conditioning(exact: bool | str | Conditioning) -> Conditioning | None:
    if isinstance(exact, Conditioning):
        return exact
    if not isinstance(exact, bool | str) or (exact is not False and exact not in METHODS):
        raise ConfigError(f"exact is True, False, 'rejection', 'weights' or a Conditioning, not {exact!r}")
    return None if exact is False else Conditioning(METHODS[exact])
