"""The samplers of a run that its report compares it with: the untrained one, and the prior."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from omegaconf import DictConfig

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.values import path_setting, seed_number
from gflownet_crystal.config.build import Trust, plain_section
from gflownet_crystal.config.parts import build_parts
from gflownet_crystal.config.priors import stored_policy
from gflownet_crystal.config.run_folder import read_config
from gflownet_crystal.config.starting import build_prior, prior_section
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.workflows.sampling.sampling import Parts
from gflownet_crystal.workflows.settings.data import ReportSettings


@dataclass(frozen=True)
class ComparedRun:
    """Implementation of :class:`gflownet_crystal.workflows.evaluating.report_sets.Compared` by a stored configuration.

    Attributes:
        config: configuration stored with the run.
        trust: classes from outside the package that it may name.
        values: the configuration with lists and mappings as Python's own.
    """

    config: DictConfig
    trust: Trust
    values: Mapping[str, object]

    @classmethod
    def read(cls, folder: Path, settings: ReportSettings) -> ComparedRun:
        """The run of a folder, on the device of the settings.

        Raises:
            CheckpointError: the folder is no run folder, or its configuration is damaged.
        """
        config = read_config(folder)
        values = plain_section(config, "configuration")
        config.device, config.threads = settings.device, settings.threads
        return cls(config, Trust(everything=settings.trust), values)

    @property
    def seed(self) -> int:
        """Random seed of the run."""
        return seed_number(self.config.get("seed", 0), "seed")

    @cached_property
    def parts(self) -> Parts:
        """The parts of the run, untrained."""
        return build_parts(self.config, self.trust)

    @property
    def has_prior(self) -> bool:
        """Whether the run has a prior."""
        return prior_section(self.config) is not None

    def learned(self) -> Mapping[str, object] | None:
        """Distributions of the crystals that the prior learned from, as its card has them; None for none."""
        section = prior_section(self.config)
        if section is None:
            return None
        card = stored_policy(path_setting(section.get("source"), "prior.source")).card
        distributions = card.get("distributions")
        return distributions.get("train") if isinstance(distributions, Mapping) else None

    def prior(self) -> GFlowNet:
        """The run's prior in the run's space.

        Raises:
            ConfigError: the run has no prior.
        """
        prior = build_prior(self.config, self.parts, self.trust)
        if prior is None:
            raise ConfigError("the run has no prior")
        return prior.model
