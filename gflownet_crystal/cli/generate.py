"""Put atoms into specs: structures as Parquet and CIF, extended XYZ, POSCAR, JSON or a database of ASE.

Specs come from a spec file, the samples of a run, or crystals whose specs are taken. Each batch of specs is kept once
it is done; a run that was stopped goes on with the same settings and resume=true.
"""

from __future__ import annotations

from omegaconf import DictConfig

from gflownet_crystal.cli.data_tables import tell
from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.config.build import build, plain, verb_settings
from gflownet_crystal.config.compose import resolved
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.workflows.generating import generate_structures, maker_of, specs_asked
from gflownet_crystal.workflows.verb_settings import GenerateSettings


def run(config: DictConfig) -> None:
    """The verb ``generate``."""
    config = resolved(config)
    settings = settings_of(config)
    set_threads(settings.threads)
    device, left_out = find_device(settings.device), LeftOut()
    maker = maker_of(settings, build(config.generator, Generator, "generator"), device)
    specs = specs_asked(settings, left_out)
    tell(left_out)
    print(generate_structures(settings, maker, specs, plain(config.generator)))


def settings_of(config: DictConfig) -> GenerateSettings:
    """Settings of ``generate`` from its resolved configuration.

    Raises:
        ConfigError: a value is wrong.
    """
    return verb_settings(GenerateSettings, config)
