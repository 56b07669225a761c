"""A prior against the crystals that it learned from and those held out.

    OMP_NUM_THREADS=1 python -m benchmarks.prior data=FILE [more=FILE] [prior=prior] [n=10000] [limit=0.1] [judged=0]
        [trajectories=64] [device=cpu] [seed=0]

FILE has crystals with rows of ``mp20_split`` val; they are split as ``train_prior`` splits them, with its ``data``,
``more`` and ``task.limit`` (here ``limit``). ``prior`` is a name of shipped weights, a file or a run folder. Prints one
JSON object:

* ``nll``: negative log-likelihood of the held-out crystals and of as many that were learned from, in nats with respect
  to the environment's reference measure, by importance sampling with ``trajectories`` backward trajectories a crystal
  (in the mean an upper bound); ``standard_error`` of the mean over crystals and ``of_the_estimate`` that of the
  sampling; ``gap``, held out less learned from. ``judged`` crystals of each at most, drawn at random; 0 for all.
* ``distances``: of ``n`` samples from the crystals learned from (those of ``more`` left out), beside the held-out
  crystals' own, the floor: total variation of elements, groups and number of elements, Wasserstein-1 distance of atoms
  in the conventional cell and of the volume per atom (Å^3).
* ``volume_ratio``: volume per atom over that of extra-trees on composition and group, fitted without the held-out
  formulas: quantiles for the samples and for the held-out crystals.
* ``known_formula``: share of the samples with a reduced formula that was learned from, those of ``more`` included;
  ``distinct_formulas``: distinct reduced formulas over samples.
* ``distributions``: statistics of the crystals by the card, and of the samples.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from benchmarks.options import read_options, run
from benchmarks.spec_distances import against_floor
from benchmarks.target import sample
from benchmarks.volume import VolumeRegressor, fit_volume_regressor
from gflownet_crystal.common.devices import find_device
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.trained_runs import open_run
from gflownet_crystal.data.splits import without_formulas
from gflownet_crystal.envs.base import Context
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.gflownet.likelihood import log_prob
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.structures.distributions import distributions
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.training.priors.data import PriorSplits, split_known
from gflownet_crystal.workflows.data.tables import read_prepared

DEFAULTS = {
    "more": "",
    "prior": "prior",
    "n": "10000",
    "limit": "0.1",
    "judged": "0",
    "trajectories": "64",
    "device": "cpu",
    "seed": "0",
}
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def likelihoods(
    model: GFlowNet, splits: PriorSplits, judged: int, trajectories: int, generator: torch.Generator
) -> dict[str, Any]:
    """Negative log-likelihoods of crystals held out and learned from, and their difference."""
    sets = {"held_out": splits.validation.terminal, "learned_from": splits.train.own}
    n = min(judged or splits.validation.terminal.n, *(terminal.n for terminal in sets.values()))
    found = {
        name: _likelihood(model, terminal, n, trajectories, generator) for name, terminal in sets.items()
    }
    return {**found, "gap": found["held_out"]["nll"] - found["learned_from"]["nll"]}


def _likelihood(
    model: GFlowNet, terminal: Context, n: int, trajectories: int, generator: torch.Generator
) -> dict[str, float]:
    rows = torch.randperm(terminal.n, generator=generator, device=generator.device)[:n]
    found = log_prob(model, terminal[rows], trajectories, generator)
    return {
        "n": n,
        "nll": -float(found.log_prob.mean()),
        "standard_error": float(found.log_prob.std() / n**0.5),
        "of_the_estimate": float(found.std_error.square().mean().sqrt() / n**0.5),
    }


def known_share(drawn: CrystalSpec, known: CrystalSpec) -> dict[str, float]:
    """Share of the drawn specs whose reduced formula is known, and distinct reduced formulas over specs."""
    formulas, taken = pd.Series(drawn.reduced_formulas()), set(known.reduced_formulas())
    return {
        "known_formula": float(formulas.isin(taken).mean()),
        "distinct_formulas": formulas.nunique() / len(formulas),
    }


def regressor_without(table: pd.DataFrame, held_out: CrystalSpec) -> VolumeRegressor:
    """Volumes per atom of the crystals whose reduced formula is not held out."""
    return fit_volume_regressor(without_formulas(table, held_out.reduced_formulas()))


def volume_ratios(regressor: VolumeRegressor, specs: CrystalSpec) -> dict[str, float]:
    """Quantiles of the volume per atom over the expected one, and the share within 0.75 to 1.3."""
    ratio: NDArray[np.float64] = regressor.ratio(specs)
    quantiles = {str(level): float(np.quantile(ratio, level)) for level in _QUANTILES}
    return {**quantiles, "within_0.75_to_1.3": float(((ratio > 0.75) & (ratio < 1.3)).mean())}


def main(arguments: list[str]) -> None:
    """Read, sample, compare, print."""
    options = read_options(__doc__, DEFAULTS, arguments, required=["data"])
    device = find_device(options["device"])
    table = read_prepared([Path(options["data"])], quiet=True)
    more = read_prepared([Path(options["more"])], quiet=True) if options["more"] else None
    model = open_run(Path(options["prior"]), str(device)).parts.model
    env = model.env
    if not isinstance(env, Crystal):
        raise ConfigError(f"prior={options['prior']} makes no crystals; give a prior or a run of crystals")
    splits = split_known(table, more, env, float(options["limit"]))
    generator = torch.Generator(device).manual_seed(int(options["seed"]))
    drawn = sample(model, int(options["n"]), generator).to("cpu")
    own, held_out, learned = (
        env.objects(terminal).to("cpu")
        for terminal in (splits.train.own, splits.validation.terminal, splits.train.terminal)
    )
    regressor = regressor_without(table, held_out)
    result = {
        "prior": options["prior"],
        "crystals": {"learned_from": len(own), "further": len(learned) - len(own), "held_out": len(held_out)},
        "nll": likelihoods(model, splits, int(options["judged"]), int(options["trajectories"]), generator),
        "distances": against_floor(drawn, held_out, own),
        "volume_ratio": {
            "median_error_of_the_trees": regressor.validation_median_error,
            "samples": volume_ratios(regressor, drawn),
            "held_out": volume_ratios(regressor, held_out),
        },
        **known_share(drawn, learned),
        "distributions": {
            name: distributions(specs)
            for name, specs in (("samples", drawn), ("train", own), ("validation", held_out))
        },
    }
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    run(main)
