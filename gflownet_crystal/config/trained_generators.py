"""The generator that ``train_generator`` trains, by the name or class in its configuration."""

from __future__ import annotations

from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import unknown
from gflownet_crystal.config.build import Trust, load_class
from gflownet_crystal.config.compose import TARGET
from gflownet_crystal.config.request import Request
from gflownet_crystal.training.generators.choices import TRAINED
from gflownet_crystal.training.generators.trained import TrainedGenerator, part
from gflownet_crystal.workflows.settings.training import TrainGeneratorSettings


def trained_generator(request: Request, settings: TrainGeneratorSettings) -> TrainedGenerator:
    """The generator that ``generator.name`` names, or of the class ``generator._target_``.

    Args:
        request: request with the section ``generator``.
        settings: settings of ``train_generator``.

    Raises:
        ConfigError: an unknown name or class, or wrong settings.
    """
    section, device = request.section("generator"), find_device(settings.device)
    target = section.pop(TARGET, None)
    if target is not None:
        # a run folder that is resumed may name a class and come from somebody else
        trust = Trust(everything=settings.trust or not settings.resume)
        return load_class(target, TrainedGenerator, "generator", trust)(section, settings.seed, device)
    if settings.name not in TRAINED:
        raise unknown("generator.name", settings.name, TRAINED)
    return TRAINED[settings.name](section, settings.seed, device)


def generator_settings(request: Request) -> TrainGeneratorSettings:
    """Settings of ``train_generator``."""
    section = request.section("generator")
    # run folders of earlier versions have no such key
    start = request.value("start")
    name, task = str(section.get("name")), part(section, "task")
    return request.settings(TrainGeneratorSettings, start=start, name=name, task=task)
