"""Command lines with wrong settings: of wrong types, out of range, unknown, or not to be read at all."""

from __future__ import annotations

import functools
import random
from collections.abc import Mapping
from pathlib import Path

from omegaconf import DictConfig, OmegaConf

from benchmarks.fuzzing.cases import HOME, INPUTS, OUT, Case
from benchmarks.fuzzing.folders import KEPT, _absolute
from benchmarks.fuzzing.material import (
    CRYSTAL_RUN,
    DENOISER_RUN,
    ENERGY_RUN,
    EVALUATE,
    EXPORT,
    GENERATE,
    GENERATOR_RUN,
    GRID_RUN,
    PIPELINE,
    PREDICT,
    PROPERTY_RUN,
    PROXY_RUN,
    RELAX,
)
from gflownet_crystal.cli.main import VERBS
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import compose_config, parse_setting
from gflownet_crystal.config.groups import PACKAGE_CONFIG, group_choices

COMMANDS: Mapping[str, tuple[str, ...]] = {
    "grid": (*GRID_RUN, "run.dir=out"), "crystal": (*CRYSTAL_RUN, "run.dir=out"),
    "proxy": (*PROXY_RUN, "run.dir=out", "out=out/proxy.safetensors"),
    "energy": (*ENERGY_RUN, "run.dir=out"), "denoiser": (*DENOISER_RUN, "run.dir=out"),
    "generator": (*GENERATOR_RUN, "run.dir=out"), "generate": (*GENERATE, "out=out"), "relax": (*RELAX, "out=out"),
    "predict": (*PREDICT, "out=out"), "property": (*PROPERTY_RUN, "run.dir=out", "out=out/property.safetensors"),
    "evaluate": (*EVALUATE, "out=out"), "export": (*EXPORT, "out=out"), "pipeline": (*PIPELINE, "out=out"),
    "prepare_data": ("prepare_data", "source=crystals.parquet", "out=out/prepared.parquet", "quiet=true"),
    "evaluate_proxy": ("evaluate_proxy", "proxy=mlp", "data=crystals.parquet", "threads=1"),
    "sample": ("sample", "run=run_crystal", "n=4", "out=out/samples.csv", "threads=1"),
    "report": ("report", "run=run_crystal", "compare=4", "k=2", "out=out/report.html", "threads=1"),
}  # fmt: skip
"""Small commands that succeed."""

VALUES = (
    "0", "-1", "1", "2", "3", "1.5", "-0.5", "0.3", "1e3", "nan", "inf", "-inf", "1e308", "1e-320", "true", "false",
    "null", "''", "x", "é", "[]", "{}", "[1,2]", "[2,1]", "[null]", "[x]", "{a:1}", "{Na:[1],Cl:[-1]}", "[Na,Cl]",
    "[225]", "[Fm-3m]", "[0]", "[[1,2],[3]]", "'1'", "'a b'", "1+", "[nan,nan]", "${seed}", "${nothing}",
    "${oc.env:HOME}", "auto", "cpu", "cuda", "cuda:99", "mps", "meta", "none", "Fm-3m", "in", "in/nothing",
)  # fmt: skip
"""Texts of values; none asks for long work."""

HUGE = ("100000000000000000000", "9223372036854775808", "-100000000000000000000")
SYNTAX = (
    "", "=", "a", "a=", "=1", "a==b", "a=[", "a={", "a=[1,", "a='", "+a=1", "++seed=1", "~seed", "seed", "seed=1,2",
    "a.b.c=1", "seed.x=1", ".=1", "..=1", "a..b=1", "seed=range(1,3)", "--nothing", "--config-dir", "--config-dir=none",
    "-x", "hydra.run.dir=x", "hydra/launcher=x", "é=1", "\x00=1", "seed=\x00", "a b=1", "env@x=hypergrid", "@=1",
    "seed=$", "seed=${", "seed=[${seed}]", "seed=\n", "_target_=os.system", "record.command=1", "record=null", "run=1",
    "defaults=[]", "seed=0x10", "seed=1_000", "seed=٣", "env/x=1", "+env/x=hypergrid", "experiment=[a,b]", "env=",
)  # fmt: skip
"""Words that are hardly settings."""

# values of these take long (the first compilation on a machine does), start many processes, or lead out of the folder
_NOT_HUGE = ("processes", "threads")
_DEEP = ("alignn_layers", "gcn_layers", "n_layers", "n_blocks", "steps", "epochs")
"""Layers, steps and epochs: a thousand of them are a training that takes long, as asked for."""
_KEEP = ("processes", "loop.compile")
_SERVICES = ("wandb",)
"""Choices that start programs of others, which keep files where they like."""

_WRITTEN = ("out", "run.dir", "cache", "hull")
"""Settings that name a place to write to."""
_REFERENCES = {"${oc.env:HOME}": HOME, "${seed}": "0"}
"""Values of the references in a small command."""


def make(rng: random.Random, valid: Path, here: Path) -> Case:
    """A command that succeeds, with one to three strange words more."""
    (here / INPUTS / "nothing").mkdir()
    name = rng.choice(list(COMMANDS))
    verb, *given = COMMANDS[name]
    words = [_absolute(word, valid) for word in given]
    words = [word.replace("source=", f"source={valid}/") for word in words]
    if rng.random() < 0.01:
        verb = rng.choice(("", "smaple", "help", "--help", "é", "train", *VERBS))
    extra = [_word(rng, name) for _ in range(rng.choice((1, 1, 1, 2, 3)))]
    if rng.random() < 0.05:
        # without out=, a report is written to the folder of its run, which other cases read
        words.remove(rng.choice([word for word in words if name != "report" or not word.startswith("out=")]))
    # a report keeps its drawn samples in the folder of its run
    kept = (str(valid / "run_crystal" / Path(KEPT).name),) if name == "report" else ()
    # a user's own word may name any place in the folder for the output
    return Case((verb, *words, *extra), outputs=(OUT, "runs", *kept, *_named(extra)))


def _named(words: list[str]) -> list[str]:
    """Places in the folder of the case that a word may ask to write to."""
    places = []
    for word in words:
        try:
            setting = parse_setting(word)
        except ConfigError:
            continue
        if setting.key in _WRITTEN and isinstance(setting.value, str | int | float):
            text = str(setting.value)
            places.append(_REFERENCES.get(text, text))
    return [place for place in places if place and not place.startswith((".", "/"))]


@functools.cache
def keys_of(name: str) -> tuple[str, ...]:
    """Dotted keys of the configuration of a small command."""
    verb, *words = COMMANDS[name]
    return tuple(_flat(compose_config(verb, words), ""))


def _flat(config: DictConfig, above: str) -> list[str]:
    found = []
    for key in map(str, config):
        node = config._get_node(key)
        inner = (
            _flat(node, f"{above}{key}.")
            if isinstance(node, DictConfig) and not OmegaConf.is_missing(config, key)
            else []
        )
        found += inner or [f"{above}{key}"]
    return found


def _word(rng: random.Random, name: str) -> str:
    chance = rng.random()
    if chance < 0.08:
        return rng.choice(SYNTAX)
    keys = [key for key in keys_of(name) if not key.startswith(_KEEP) and not key.startswith("record")]
    key = rng.choice(keys)
    if chance < 0.14:
        place = rng.randrange(len(key))
        return f"{key[:place]}{rng.choice(('x', '.', '', '-', key[place] * 2))}{key[place + 1 :]}={rng.choice(VALUES)}"
    if chance < 0.22:
        group = rng.choice(
            [path.name for path in PACKAGE_CONFIG.iterdir() if path.is_dir() and path.name[0] != "_"]
        )
        choices = [choice for choice in group_choices(group, [PACKAGE_CONFIG]) if choice not in _SERVICES]
        return f"{group}={rng.choice((*choices, 'nothing', 'null', '1', '[]'))}"
    if chance < 0.26:
        section = key.rpartition(".")[0] or key
        return f"{section}={rng.choice(VALUES)}"
    if chance < 0.32 and key.rpartition(".")[2] not in _NOT_HUGE:
        return f"{key}={rng.choice(HUGE)}"
    mark, value = rng.choice(("", "", "", "+", "++")), rng.choice(VALUES)
    return f"{mark}{key}={'3' if key.rpartition('.')[2] in _DEEP and value == '1e3' else value}"
