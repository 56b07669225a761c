"""Priors and trained samplers by name, file or run folder: their policies in an environment of the same layout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import torch
from omegaconf import DictConfig, OmegaConf
from torch import Tensor

from gflownet_crystal.common.checkpoint import latest
from gflownet_crystal.common.errors import CheckpointError, ConfigError
from gflownet_crystal.common.run_schema import WEIGHTS
from gflownet_crystal.config.build import Trust, build, plain_section, trust_word
from gflownet_crystal.config.conditions import conditions_of
from gflownet_crystal.config.parts import build_model
from gflownet_crystal.config.run_folder import card_command, read_config
from gflownet_crystal.envs.base import Env
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.model import GFlowNet, is_of_policy
from gflownet_crystal.weights import fitting_card, load_weights, save_weights, weights_path

KIND = "prior"


@dataclass(frozen=True)
class StoredPolicy:
    """Policies as they are stored.

    Attributes:
        source: name given by the user.
        policy: the section ``policy`` of the configuration that they were made with.
        layout: layout of the environment, see :meth:`Crystal.layout`; None where the source does not say.
        tensors: tensors of the two policies.
        card: card of the weights; of a run folder, its command and the crystals that it has seen.
        conditions: names of the conditions that the policies see.
    """

    source: str
    policy: dict[str, object]
    layout: dict[str, object] | None
    tensors: dict[str, Tensor]
    card: dict[str, object]
    conditions: tuple[str, ...] = ()

    def check_trust(self, trust: bool) -> None:
        """See that no class from outside this package is built unless the user says so.

        Raises:
            ConfigError: the section ``policy`` names one.
        """
        if not trust and trust_word(self.policy):
            raise ConfigError(
                f"{self.source} names a policy that is not a class of this package; if you know where it comes from, "
                "add trust=true"
            )

    def model(self, env: Env, device: torch.device, trust: Trust | None = None) -> GFlowNet:
        """The trained policies in an environment.

        Raises:
            ConfigError: the environment's layout is another, or the policies see conditions.
            WeightsError: the weights do not fit their card.
        """
        self._check_layout(env)
        with fitting_card(self.source):
            model = build_model(OmegaConf.create({"policy": self.policy}), env, device, trust or Trust())
        self.start(model)
        return model

    def start(self, model: GFlowNet) -> None:
        """Put the trained policies in a model that was made with the same section ``policy``; log Z and flows stay.

        Where the model has conditions that the policies do not see, they have no effect before training.

        Raises:
            ConfigError: the layout of the model's environment is another, or the policies see other conditions.
            WeightsError: the weights do not fit their card.
        """
        self._check_layout(model.env)
        names = () if model.conditions is None else tuple(model.conditions.ranges)
        if self.conditions not in ((), names):
            raise ConfigError(
                f"{self.source} was trained for conditions, {', '.join(self.conditions)}: give a sampler of one "
                "distribution, or start=RUN with the same conditions"
            )
        own = model.state_dict()
        n_new = len(names) - len(self.conditions)
        tensors = {name: _widened(value, own.get(name), n_new) for name, value in self.tensors.items()}
        with fitting_card(self.source):
            kept = {name: value for name, value in own.items() if not is_of_policy(name)}
            # parts for conditions are new
            new = {name: value for name, value in own.items() if ".film" in name} if n_new else {}
            model.load_state_dict(new | tensors | kept)

    def _check_layout(self, env: Env) -> None:
        if not isinstance(env, Crystal):
            raise ConfigError(
                f"{self.source} is a policy for crystals, not for env {type(env).__name__}; give prior=null"
            )
        mine, theirs = self.layout, env.layout()
        if mine is None or mine == theirs:
            return
        differing = [key for key in theirs if mine.get(key) != theirs[key]]
        raise ConfigError(
            f"env and {self.source} differ in {', '.join(f'env.{_KEYS.get(key, key)}' for key in differing)} "
            f"({_shown(mine, differing)} there): leave these keys of env=crystal as they are, or give prior=null"
        )


def _widened(weights: Tensor, own: Tensor | None, n: int) -> Tensor:
    """Weights (m, k) with n more columns of zeros, for a model that has n more inputs."""
    if own is None or weights.dim() != 2 or own.shape != (len(weights), weights.shape[1] + n):
        return weights
    return torch.cat([weights, weights.new_zeros(len(weights), n)], dim=1)


_KEYS = {"most_counts": "max_count"}


def _shown(layout: Mapping[str, object], keys: list[str]) -> str:
    return ", ".join(str(layout.get(key)) for key in keys)


def stored_policy(source: str | Path) -> StoredPolicy:
    """Policies by their source.

    Args:
        source: name of shipped weights, a ``.safetensors`` file of ``train_prior``, or the run folder of a training.

    Raises:
        WeightsError: a file is missing, corrupt or of another kind.
        CheckpointError: a run folder without weights.
    """
    path = Path(str(source))
    if not path.is_dir():
        return _of_file(source)
    if (path / WEIGHTS).is_file():
        return _of_file(path / WEIGHTS)
    return _of_run(path)


def _of_file(source: str | Path) -> StoredPolicy:
    tensors, card = load_weights(source, KIND)
    with fitting_card(weights_path(source)):
        return StoredPolicy(str(source), dict(card["policy"]), dict(card["layout"]), tensors, card)


def _of_run(folder: Path) -> StoredPolicy:
    config = read_config(folder, ("env", "policy", "record"))
    checkpoint = latest(folder)
    if checkpoint is None:
        raise CheckpointError(f"{folder} has no checkpoint yet; train it with resume=true first")
    stored = checkpoint.part("model") | checkpoint.part("average")
    tensors = {name: value for name, value in stored.items() if is_of_policy(name)}
    # a run of train_prior says how many crystals it has seen
    spent = {name: checkpoint.metadata[name] for name in ("samples",) if name in checkpoint.metadata}
    command = card_command("train_prior" if "task" in config else "train_gfn", config)
    conditions = conditions_of(config)
    return StoredPolicy(
        str(folder),
        plain_section(config.policy, "policy"),
        _layout_of(config),
        tensors,
        {"command": command, **spent},
        () if conditions is None else tuple(conditions.ranges),
    )


def _layout_of(config: DictConfig) -> dict[str, object] | None:
    env = build(config.env, Env, "env", Trust())
    return env.layout() if isinstance(env, Crystal) else None


def save_prior(path: Path, model: GFlowNet, policy: Mapping[str, object], card: Mapping[str, object]) -> None:
    """Write the policies of a model with the entries that :func:`stored_policy` makes them from.

    Args:
        path: the ``.safetensors`` file.
        model: in a crystal environment.
        policy: section of the configuration.
        card: further entries of the card.
    """
    env = model.env
    if not isinstance(env, Crystal):
        raise ConfigError("priors are made for crystals; give env=crystal_89 or another crystal environment")
    save_weights(
        path,
        model.policy_weights(),
        {"kind": KIND, "policy": dict(policy), "layout": env.layout(), **card},
        half=True,
    )
