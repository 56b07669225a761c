"""Choices of a training that follow from the others.

Without a prior, it starts from nothing, as in the paper; the reward for discovery corrects the proxy for placed atoms.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import yaml
from omegaconf import DictConfig, ListConfig, OmegaConf

from gflownet_crystal.config.groups import find_config, group_choices

ENERGY_MODELS = ("model", "judge", "energies", "relax_model")
"""Keys with the name of an energy model, in whose place a calculator's class with its arguments may stand."""

PRIOR = "prior"

CONDITION = "condition"
"""Section with keys of the user's: names of settings, with the range that a sampler is trained for."""

_WIDTH = 0.03
"""Width of a target that is a condition, as a share of the range, where none is given."""

_WITHOUT = {"objective": "trajectory_balance", "reward": "boltzmann", "trainer": "default"}
_CRYSTAL = "gflownet_crystal.envs.crystal.Crystal"


def key_of(key: str, value: object, folders: Sequence[Path]) -> str:
    """The key that a setting stands for: ``prior=FILE`` and ``prior=RUN`` set ``prior.source``.

    Args:
        key: key as given.
        value: value as given.
        folders: the user's and the package's.
    """
    is_source = key == PRIOR and isinstance(value, str) and value not in group_choices(PRIOR, folders)
    return f"{PRIOR}.source" if is_source else key


def has_prior(env: DictConfig, given: Mapping[str, object]) -> bool:
    """Whether a training has a prior.

    Args:
        env: section of the environment.
        given: values of the command line by key; a prior that is given decides.
    """
    if PRIOR in given or f"{PRIOR}.source" in given:
        return given.get(PRIOR, "") is not None
    target = given.get("env._target_", env.get("_target_"))
    return target == _CRYSTAL and given.get("env.coordinates", env.get("coordinates")) == "shape"


def implied_choices(
    given: Mapping[str, object], choices: Mapping[str, object], folders: Sequence[Path]
) -> list[str]:
    """Choices of a training without a prior, where the command line, environment and experiment make none.

    Args:
        given: values of the command line by key.
        choices: chosen config of each group.
        folders: the user's and the package's.
    """
    made = set(given)
    for group in ("experiment", "env"):
        path = find_config(group, str(choices.get(group)), folders)
        made |= set() if path is None else _overridden(path)
    words = [f"{group}={choice}" for group, choice in _WITHOUT.items() if group not in made]
    return words if PRIOR in given else [f"~{PRIOR}", *words]


def implied_words(
    env: DictConfig, given: Mapping[str, object], choices: Mapping[str, object], folders: Sequence[Path]
) -> list[str]:
    """All that the choices of a training imply.

    The reward for discovery corrects the shipped ``mlp`` for placed atoms: a sampler that seeks low energies finds the
    specs for which an energy from known crystals alone is too low.

    Args:
        env: section of the environment.
        given: values of the command line by key.
        choices: chosen config of each group.
        folders: the user's and the package's.
    """
    words = [] if has_prior(env, given) else implied_choices(given, choices, folders)
    kept = not any(word.startswith("reward=") for word in words)
    stability = given.get("reward.stability", choices.get("reward@reward.stability"))
    of_several = (choices.get("reward"), stability) == ("product", "discovery")
    # the place of the proxy that the reward for discovery judges
    place = "proxy.mlp" if of_several else "proxy"
    is_mlp = choices.get("proxy@proxy.mlp" if of_several else "proxy") == "mlp"
    seeks = of_several or choices.get("reward") == "discovery"
    own = [key for key in given if key.startswith(f"{place}.") and key != f"{place}.batch_size"]
    if seeks and kept and is_mlp and not own:
        words.append(f"{place}.placing=placing")
    return words


def fill_targets(config: DictConfig) -> None:
    """Give a property a goal whose target is a condition: the middle of the range, where it has no goal.

    Args:
        config: composed configuration, changed in place.
    """
    ranges, reward = config.get(CONDITION), config.get("reward")
    if not isinstance(ranges, DictConfig) or not isinstance(reward, DictConfig):
        return
    for name, both in ranges.items():
        ends = [one for one in both if isinstance(one, int | float)] if isinstance(both, ListConfig) else []
        is_own = name == "target" and OmegaConf.is_missing(reward, name)
        section = reward if is_own else reward.get(name)
        is_free = isinstance(section, DictConfig) and "maximise" in section and not _goals(section)
        if not (is_own or is_free) or len(ends) != 2:
            continue
        section.target = sum(ends) / 2
        if OmegaConf.is_missing(section, "width") or section.width is None:
            section.width = _WIDTH * abs(ends[1] - ends[0])
        if is_own and "reach" in section and section.reach is None:
            # PyTorch is loaded only where it is needed
            from gflownet_crystal.proxies.term import REACH

            section.reach = REACH


def _goals(section: DictConfig) -> list[str]:
    """Goals of a term that are given."""
    others = ("width", "caution", "weight", "hard")
    return [str(key) for key in section if key not in others and section[key] is not None]


def _overridden(path: Path) -> set[str]:
    """Groups that a config of an experiment or environment chooses from."""
    defaults = (yaml.safe_load(path.read_text(encoding="utf-8")) or {}).get("defaults") or []
    keys = [str(key) for entry in defaults if isinstance(entry, dict) for key in entry]
    return {key.removeprefix("override ").lstrip("/").partition("@")[0] for key in keys}
