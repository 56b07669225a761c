"""Predictor of structures of formulas, from the configuration of ``predict``."""

from __future__ import annotations

from omegaconf import DictConfig

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import build, plain
from gflownet_crystal.config.parts import find_device
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.config.values import flag, path_setting, seed_number
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.assignments.ranked import RankedAssignments
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.workflows.placing import Placer
from gflownet_crystal.workflows.predicting import PredictionSettings, Predictor

SETTINGS = ("n", "cells", "most_atoms", "by_prototypes", "temperature")
"""Keys that are settings of a prediction as they stand."""


def build_predictor(config: DictConfig) -> Predictor:
    """Predictor of a configuration of ``predict``.

    Raises:
        ConfigError: a value is wrong, or a model is unknown.
        WeightsError: there are no such weights.
    """
    device, seed = find_device(config.device), seed_number(config.seed, "seed")
    groups = plain(config.space_group)
    values = {name: plain(config[name]) for name in SETTINGS}
    groups = groups if groups is None or isinstance(groups, list) else [groups]
    settings = PredictionSettings(space_groups=groups, lattice=plain(config.lattice), seed=seed, **values)
    generator = build(config.generator, Generator, "generator")
    judge = None if config.energies is None else load_energies(plain(config.energies)).to(device)
    contacts, hull = Contacts.from_weights(config.contacts), load_hull(str(config.hull))
    trained = open_run(
        path_setting(config.prior, "prior"), config.device, config.threads, flag(config.trust, "trust")
    )
    if not isinstance(trained.parts.env, Crystal):
        raise ConfigError(
            f"prior={config.prior} does not sample crystals; give one that does, as prior=prior"
        )
    table = RankedAssignments.load(config.prototypes).lister.table
    placer = Placer(generator, hull, judge, contacts, 1, 0.0, seed, device)
    return Predictor(trained.parts.model, table, placer, settings)
