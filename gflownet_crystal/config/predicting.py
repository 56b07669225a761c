"""Predictor of structures of formulas, from the configuration of ``predict`` or its settings."""

from __future__ import annotations

from omegaconf import DictConfig

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.build import build, verb_settings
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.evaluation.contacts import Contacts
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.generators.prototypes.known import KnownPrototypes
from gflownet_crystal.models.energies.potentials import load_energies
from gflownet_crystal.proxies.e_above_hull import load_hull
from gflownet_crystal.workflows.placing.placing import Placer
from gflownet_crystal.workflows.predicting.predicting import Predictor
from gflownet_crystal.workflows.relaxing.settling import Settler
from gflownet_crystal.workflows.settings.predict import PredictSettings


def build_predictor(config: DictConfig) -> Predictor:
    """Predictor of a configuration of ``predict``; see :func:`predictor_of`."""
    settings = verb_settings(PredictSettings, config)
    return predictor_of(settings, build(config.generator, Generator, "generator"))


def predictor_of(settings: PredictSettings, generator: Generator) -> Predictor:
    """Predictor of settings.

    Args:
        settings: settings of the verb.
        generator: generator of the atoms.

    Raises:
        ConfigError: a value is wrong, or a model is unknown.
        WeightsError: there are no such weights.
    """
    device, prediction = find_device(settings.device), settings.prediction
    judge = None if settings.energies is None else load_energies(settings.energies).to(device)
    contacts, hull = Contacts.from_weights(settings.contacts), load_hull(str(settings.hull))
    trained = open_run(settings.prior_path, settings.device, settings.threads, settings.trust)
    trained = trained.of_one_distribution()
    if not isinstance(trained.parts.env, Crystal):
        raise ConfigError(
            f"prior={settings.prior} does not sample crystals; give one that does, as prior=prior"
        )
    known = KnownPrototypes.load(settings.prototypes)
    placer = Placer(generator, hull, judge, contacts, 1, 0.0, settings.seed, device)
    model = settings.energies if settings.relax_model is None else settings.relax_model
    settler = None
    if settings.relax and model is not None:
        settler = Settler(load_energies(model).to(device), settings.relax, settings.relaxation)
        # models without forces are told before any work
        settler.energies.calculator()
    return Predictor(trained.parts.model, known, placer, prediction, settler)
