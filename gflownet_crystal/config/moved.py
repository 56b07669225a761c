"""Classes and arguments that run folders of earlier versions name at an old place or by an old name."""

from __future__ import annotations

_FOLDERS = {
    "gflownet_crystal.proxies": {
        "mlp_recipe": "gflownet_crystal.training.proxies.mlp_recipe",
        "mlp_paper_recipe": "gflownet_crystal.training.proxies.mlp_paper_recipe",
        "mlp_placing_recipe": "gflownet_crystal.training.proxies.mlp_placing_recipe",
        "hull_recipe": "gflownet_crystal.training.proxies.hull_recipe",
    },
    "gflownet_crystal.gflownet": {"loggers": "gflownet_crystal.training.loggers"},
    "gflownet_crystal.models": {
        "potentials": "gflownet_crystal.models.energies.potentials",
        "calculator_energies": "gflownet_crystal.models.energies.calculator_energies",
        "structure_energies": "gflownet_crystal.models.energies.structure_energies",
        "trained_energies": "gflownet_crystal.models.energies.trained",
    },
}

_ARGUMENTS = {("gflownet_crystal.generators.wyckoff_sampler.WyckoffSampler", "hurry"): "velocity_scale"}


def present_argument(target: str, name: str) -> str:
    """Name of an argument of a class today.

    Args:
        target: dotted path of the class today.
        name: name of the argument, of this version or an earlier one.
    """
    return _ARGUMENTS.get((target, name), name)


def present_path(target: str) -> str:
    """Dotted path of a class today.

    Args:
        target: dotted path that a configuration names, of this version or an earlier one.

    Returns:
        The path itself unless its module has moved.
    """
    module, _, name = target.rpartition(".")
    folder, _, file = module.rpartition(".")
    moved = _FOLDERS.get(folder, {}).get(file)
    return target if moved is None else f"{moved}.{name}"
