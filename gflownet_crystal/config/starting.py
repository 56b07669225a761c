"""Where a training starts: the policies of a prior, of a file or of another run; and the prior itself."""

from __future__ import annotations

from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.common.arguments import prepared
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting
from gflownet_crystal.config.build import Trust, plain
from gflownet_crystal.config.compose import parse_setting, require_section
from gflownet_crystal.config.implied import PRIOR
from gflownet_crystal.config.parts import Parts
from gflownet_crystal.config.priors import StoredPolicy, stored_policy
from gflownet_crystal.gflownet.prior import Prior


def starting_policy(config: DictConfig) -> StoredPolicy | None:
    """The policies that a training starts from; None where it starts from new weights.

    Args:
        config: configuration of ``train_gfn``.

    Raises:
        ConfigError: the command line sets keys of the section ``policy``, which comes with the weights.
        WeightsError: the weights are missing, corrupt or of another kind.
    """
    source, prior, key = config.get("start"), prior_section(config), "start"
    if source == PRIOR:
        key = "prior.source"
        source = None if prior is None else prior.get("source")
        if prior is not None and source is None:
            raise ConfigError(
                "prior.source is missing; give prior=default, a file or a run folder, or prior=null"
            )
    if source is None:
        return None
    given = [parse_setting(text).key for text in config.record.command]
    if own := [key for key in given if key.split(".")[0] == "policy"]:
        raise ConfigError(
            f"{own[0]} has no effect, as the policy comes with start={config.start}: leave it out, or give start=null "
            "to train new weights"
        )
    return stored_policy(path_setting(source, key))


def with_policy(config: DictConfig, stored: StoredPolicy | None) -> DictConfig:
    """The configuration with the section ``policy`` of the weights that the training starts from.

    Raises:
        ConfigError: the section names a class from outside this package, and ``trust`` is not set.
    """
    if stored is not None:
        stored.check_trust(bool(config.trust))
        config.policy = OmegaConf.create(stored.policy)
    return config


def build_prior(config: DictConfig, parts: Parts, trust: Trust) -> Prior | None:
    """The frozen prior of a training, in its environment; None without one.

    A new training notes the digest of the prior's weights in its configuration, so that it cannot go on with others.

    Raises:
        ConfigError: a setting is out of range, the layouts differ, or a run that goes on had another prior.
    """
    section = prior_section(config)
    if section is None:
        return None
    stored = stored_policy(path_setting(section.get("source"), "prior.source"))
    digest, noted = stored.card.get("sha256"), section.get("digest")
    if noted is not None and noted != digest:
        raise ConfigError(
            f"the prior {stored.source} is not the one that the run began with; restore it, or give another run.dir"
        )
    section.digest = digest
    settings = {key: plain(section[key]) for key in ("weight", "n_samples") if key in section}
    made = prepared(Prior, settings, PRIOR, given=("model", "batch_size"))
    return made(stored.model(parts.env, parts.device, trust))


def prior_section(config: DictConfig) -> DictConfig | None:
    """The section of the prior; None without one."""
    section = config.get(PRIOR)
    if section is not None:
        require_section(section, PRIOR)
    return section
