"""Results of a training of a sampler: samples, figures, candidates and summary.json."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.files import write_json
from gflownet_crystal.common.metrics import read_metrics
from gflownet_crystal.common.run_schema import (
    CANDIDATES,
    ENERGY,
    FORMULA,
    METRICS,
    SAMPLES,
    SAMPLES_CSV,
    SUMMARY,
)
from gflownet_crystal.common.run_summary import Quantity, RunSummary
from gflownet_crystal.gflownet.model import GFlowNet
from gflownet_crystal.proxies.several import SeveralProxies, main_proxy
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.training.base import Training
from gflownet_crystal.workflows.candidates.exporting import FIGURES
from gflownet_crystal.workflows.sampling.samples import draw_samples, draw_untrained, write_samples
from gflownet_crystal.workflows.sampling.sampling import Parts
from gflownet_crystal.workflows.sampling.summary import best_of, element_shares, hardware, summarise_samples
from gflownet_crystal.workflows.settings.training import TrainGfnSettings
from gflownet_crystal.workflows.training.run_folders import TrainingRun

_N_UNTRAINED = 2000


def write_results(
    settings: TrainGfnSettings,
    candidates: Callable[[Path], dict[str, object]],
    run: TrainingRun,
    parts: Parts,
    training: Training,
    untrained: Callable[[], GFlowNet],
    oxidation_table: object,
) -> tuple[RunSummary, pd.DataFrame, dict[str, Path], str]:
    """Sample from the trained model and write everything that a user looks at.

    Args:
        settings: settings of ``train_gfn``.
        candidates: function that writes candidates to a folder and returns the summary of them.
        run: the run.
        parts: parts with trained weights.
        training: finished training.
        untrained: function that makes the model as it was before the training.
        oxidation_table: name of the environment's table of oxidation states; None where it has none.

    Returns:
        The summary, the best objects, the files by their contents, and the command to go on with.
    """
    chosen, folder = settings.samples, run.folder
    frame = draw_samples(parts.model, parts.reward, chosen.n, chosen.batch_size, chosen.seed)
    files = {"samples": folder / SAMPLES, "samples as CSV": folder / SAMPLES_CSV}
    for path in files.values():
        write_samples(path, frame)
    files["figures"] = folder / "figures"
    _draw_figures(files["figures"], settings, parts, untrained, frame)
    files["summary"] = folder / SUMMARY
    summary = _summary(oxidation_table, parts, training, frame)
    # the summary is on disk before the candidates are made, so that a failure there loses nothing
    write_json(files["summary"], summary.as_json())
    best = best_of(frame)
    named = setting_word("run", folder)
    following = f"gflownet-crystal sample {named} n=10000 out=FILE.parquet{run.trust_word}"
    if parts.env.produces == "specs" and settings.export.k:
        files["candidates"] = folder / "candidates"
        # the summary is written once more, with how the candidates were found
        about = candidates(files["candidates"])
        told = {name: about[name] for name in ("energies", "funnel", *FIGURES, "processor_seconds")}
        write_json(files["summary"], replace(summary, candidates=told).as_json())
        found = read_specs(files["candidates"] / CANDIDATES)
        best = found if len(found) else best
        following = f"gflownet-crystal export {named} n=100000 k=100 out=DIR{run.trust_word}"
    return summary, best, files, following


def _summary(oxidation_table: object, parts: Parts, training: Training, frame: pd.DataFrame) -> RunSummary:
    proxy, settings = parts.reward.proxy, parts.settings
    proxies = proxy.proxies if isinstance(proxy, SeveralProxies) else {ENERGY: proxy}
    return RunSummary(
        quantity=Quantity(proxy.property_name, proxy.unit),
        proxy=" + ".join(type(one).__name__ for one in proxies.values()),
        env=type(parts.env).__name__,
        oxidation_table=oxidation_table,
        iterations=training.done,
        trajectories=training.done * settings.batch_size * training.world.size,
        # with conditions there is one for each
        log_z=None if parts.model.conditions is not None else float(parts.model.log_z.detach()),
        training_seconds=round(training.seconds, 3),
        samples=summarise_samples(frame),
        hardware=hardware(parts.device),
        properties={name: one.unit for name, one in proxies.items() if one is not main_proxy(proxy)},
    )


def _draw_figures(
    folder: Path,
    settings: TrainGfnSettings,
    parts: Parts,
    untrained: Callable[[], GFlowNet],
    frame: pd.DataFrame,
) -> None:
    # loads Matplotlib, half a second
    from gflownet_crystal.evaluation.figures_training import (
        element_prevalence,
        energy_distribution,
        training_curves,
    )

    training_curves(read_metrics(folder.parent / METRICS), folder / "training.png")
    n, batch_size = min(_N_UNTRAINED, len(frame)), settings.samples.batch_size
    before = draw_untrained(untrained(), parts.reward, n, batch_size, settings.seed)
    label = f"{parts.reward.proxy.property_name} ({parts.reward.proxy.unit})"
    trained_energy, untrained_energy = (table[ENERGY].to_numpy(dtype=float) for table in (frame, before))
    energy_distribution(trained_energy, untrained_energy, label, folder / "energies.png")
    if FORMULA in frame.columns:
        element_prevalence(element_shares(frame), element_shares(best_of(frame)), folder / "elements.png")
