"""Train a GFlowNet against a proxy, sample from it, and write the best candidates.

Everything goes to one run folder: configuration, metrics, checkpoints, samples, figures and a summary. A training that
was stopped goes on with the same run.dir and resume=true.

For several properties give a list of proxies and the wanted range of each, as in proxy=[mlp,band_gap]
reward.band_gap.window=[1.2,1.6]; with such a list --help shows the keys of each.
"""

from __future__ import annotations

from contextlib import nullcontext
from functools import partial
from pathlib import Path

from gflownet_crystal.cli.export import export
from gflownet_crystal.cli.page import print_page
from gflownet_crystal.common.locks import lock_folder
from gflownet_crystal.config.candidate_runs import export_request
from gflownet_crystal.config.request import Request
from gflownet_crystal.config.training import sampler_folder, sampler_settings, train_sampler
from gflownet_crystal.training.distributed import join_world
from gflownet_crystal.workflows.settings.training import TrainGfnSettings
from gflownet_crystal.workflows.training.results import write_results


def run(request: Request) -> None:
    """The verb ``train_gfn``; under ``torchrun`` several processes train together and the first one writes."""
    folder = sampler_folder(request)
    with join_world() as world, lock_folder(folder) if world.is_main else nullcontext():
        chosen = request.opened(folder)
        settings = sampler_settings(chosen)
        trained = train_sampler(chosen, folder, world)
        if world.is_main:
            print_page(*write_results(settings, partial(_candidates, folder, settings), *trained))


def _candidates(folder: Path, settings: TrainGfnSettings, out: Path) -> dict[str, object]:
    """Write candidates as ``export`` does; the summary of it."""
    return export(export_request(folder, out, settings))
