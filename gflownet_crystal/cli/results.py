"""The end of a training: samples, figures, candidates, summary.json and a page on the terminal."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from omegaconf import DictConfig, OmegaConf

from gflownet_crystal.cli.export import FIGURES, export_candidates
from gflownet_crystal.cli.page import print_page
from gflownet_crystal.cli.summary import best_of, element_shares, hardware, summarise_samples
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
from gflownet_crystal.config.build import Trust, plain, trust_word
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.parts import Parts, build_model
from gflownet_crystal.evaluation.figures_training import (
    element_prevalence,
    energy_distribution,
    training_curves,
)
from gflownet_crystal.proxies.reward import Reward
from gflownet_crystal.proxies.several import SeveralProxies, main_proxy
from gflownet_crystal.structures.spec_io import read_specs
from gflownet_crystal.training.base import Training
from gflownet_crystal.workflows.samples import draw_samples, write_samples

_N_UNTRAINED = 2000


def write_results(folder: Path, config: DictConfig, parts: Parts, training: Training, trust: Trust) -> None:
    """Sample from the trained model and write everything that a user looks at.

    Args:
        folder: the run folder.
        config: resolved.
        parts: parts with trained weights.
        training: finished training.
        trust: classes from outside the package that may be imported.
    """
    chosen = config.samples
    frame = draw_samples(parts.model, parts.reward, chosen.n, chosen.batch_size, chosen.seed)
    files = {"samples": folder / SAMPLES, "samples as CSV": folder / SAMPLES_CSV}
    for path in files.values():
        write_samples(path, frame)
    files["figures"] = folder / "figures"
    _draw_figures(files["figures"], config, parts, trust, frame)
    files["summary"] = folder / SUMMARY
    summary = _summary(config, parts, training, frame)
    # the summary is on disk before the candidates are made, so that a failure there loses nothing
    write_json(files["summary"], summary.as_json())
    best = best_of(frame)
    named = setting_word("run", folder)
    following = f"gflownet-crystal sample {named} n=10000 out=FILE.parquet{trust_word(config)}"
    if parts.env.produces == "specs" and config.export.k:
        files["candidates"] = folder / "candidates"
        # the summary is written once more, with how the candidates were found
        made = replace(summary, candidates=_export(folder, files["candidates"], config))
        write_json(files["summary"], made.as_json())
        found = read_specs(files["candidates"] / CANDIDATES)
        best = found if len(found) else best
        following = f"gflownet-crystal export {named} n=100000 k=100 out=DIR{trust_word(config)}"
    print_page(summary, best, files, following)


def _summary(config: DictConfig, parts: Parts, training: Training, frame: pd.DataFrame) -> RunSummary:
    proxy, settings = parts.reward.proxy, parts.settings
    proxies = proxy.proxies if isinstance(proxy, SeveralProxies) else {ENERGY: proxy}
    return RunSummary(
        quantity=Quantity(proxy.property_name, proxy.unit),
        proxy=" + ".join(type(one).__name__ for one in proxies.values()),
        env=type(parts.env).__name__,
        oxidation_table=plain(config.env.get("oxidation_table")),
        iterations=training.done,
        trajectories=training.done * settings.batch_size * training.world.size,
        log_z=float(parts.model.log_z.detach()),
        training_seconds=round(training.seconds, 3),
        samples=summarise_samples(frame),
        hardware=hardware(parts.device),
        properties={name: one.unit for name, one in proxies.items() if one is not main_proxy(proxy)},
    )


def _draw_figures(folder: Path, config: DictConfig, parts: Parts, trust: Trust, frame: pd.DataFrame) -> None:
    training_curves(read_metrics(folder.parent / METRICS), folder / "training.png")
    untrained = build_model(config, parts.env, parts.device, trust)
    # an untrained sampler may meet objects that the proxy refuses; they are no reason to lose the figure
    lenient = Reward(parts.reward.proxy, parts.reward.function, invalid="penalise")
    before = draw_samples(
        untrained, lenient, min(_N_UNTRAINED, len(frame)), config.samples.batch_size, config.seed
    )
    label = f"{parts.reward.proxy.property_name} ({parts.reward.proxy.unit})"
    trained_energy, untrained_energy = (table[ENERGY].to_numpy(dtype=float) for table in (frame, before))
    energy_distribution(trained_energy, untrained_energy, label, folder / "energies.png")
    if FORMULA in frame.columns:
        element_prevalence(element_shares(frame), element_shares(best_of(frame)), folder / "elements.png")


def _export(folder: Path, out: Path, config: DictConfig) -> dict[str, object]:
    """Write candidates as ``export`` does; what it tells of them."""
    settings = compose_config("export", [])
    settings.run, settings.out, settings.k = str(folder), str(out), config.export.k
    settings.format = config.export.get("format")
    settings.overwrite = True
    # runs of earlier versions have no such section, or as much of it as was given when they went on
    settings.screening = OmegaConf.merge(settings.screening, config.get("screening") or {})
    settings.device, settings.trust, settings.quiet = config.device, config.trust, config.quiet
    words, about = export_candidates(resolved(settings))
    print(words)
    return {name: about[name] for name in ("energies", "funnel", *FIGURES, "processor_seconds")}
