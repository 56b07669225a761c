"""The report as one HTML file that holds everything it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from importlib.resources import files
from pathlib import Path

import numpy as np
import yaml
from jinja2 import Environment, PackageLoader, StrictUndefined
from numpy.typing import NDArray

import gflownet_crystal
from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.common.errors import DataError
from gflownet_crystal.common.files import write_text
from gflownet_crystal.common.run_schema import CANDIDATES, SPACE_GROUP
from gflownet_crystal.proxies.chemical_systems import FEWEST_ENTRIES
from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.report.by_condition import condition_drawing
from gflownet_crystal.report.card_values import Card, data_link
from gflownet_crystal.report.cards import make_cards
from gflownet_crystal.report.cells import element_styles
from gflownet_crystal.report.details import Details, all_cifs, details_within
from gflownet_crystal.report.drawings import (
    Drawing,
    Studio,
    energy_drawing,
    funnel_drawing,
    hull_drawing,
    judged_drawing,
    training_drawing,
    two_judges_drawing,
)
from gflownet_crystal.report.drawings_crystals import crystal_drawings, table_drawing
from gflownet_crystal.report.figures import system_shares
from gflownet_crystal.report.figures_prior import FIGURES, Shares, shares_of
from gflownet_crystal.report.findings import candidate_findings
from gflownet_crystal.report.periodic_table import table_cells
from gflownet_crystal.report.population import Population
from gflownet_crystal.report.run_files import RunFiles
from gflownet_crystal.report.trade_off import trade_off_drawing
from gflownet_crystal.report.words import asked, headline

MAX_BYTES = 15_000_000
"""A report is never larger: it has to open on a phone and go by mail."""

_SPARE = 1000
"""Bytes for all that names the number of candidates with details, which is known last."""

_STEP = 12
_NEGATIVE = re.compile(r"(?<![\w.])-(?=\d)")
_QUANTILES = (0.0, 0.05, 0.25, 0.5, 0.75, 0.95)


@dataclass(frozen=True)
class Material:
    """Data of a report.

    Attributes:
        run: files of the run.
        samples: samples of the trained sampler, None if there are none or they are no crystals.
        candidates: chosen candidates.
        untrained: samples of the untrained sampler.
        prior: samples of the run's prior in the run's space, None without one.
        learned: distributions of the crystals that the prior learned from, as its card has them, or None.
        reference: known crystals of the run's elements.
        known: all known crystals, to look for the nearest in.
        energies: the run's property by kind of population.
        labels: labels of these in legends.
        notes: missing figures, with the reason.
    """

    run: RunFiles
    samples: Population | None = None
    candidates: Population | None = None
    untrained: Population | None = None
    prior: Population | None = None
    learned: Mapping[str, object] | None = None
    reference: Population | None = None
    known: Population | None = None
    energies: Mapping[str, NDArray[np.float64]] = field(default_factory=dict)
    labels: Mapping[str, str] = field(default_factory=dict)
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Page:
    """The HTML of a report.

    Attributes:
        text: HTML.
        n_detailed: number of candidates whose details it holds, the best.
    """

    text: str
    n_detailed: int

    @property
    def n_bytes(self) -> int:
        """Size of the file."""
        return len(self.text.encode("utf-8"))


def write_report(material: Material, out: Path) -> Page:
    """Write the page, and its figures as PNG into a folder beside it.

    Args:
        material: content of the report.
        out: the HTML file.

    Raises:
        DataError: a file cannot be written, or the page would be larger than :data:`MAX_BYTES` without any candidate.
    """
    page = make_page(material, Studio(figures_folder(material.run, out)))
    if page.n_bytes > MAX_BYTES:
        raise DataError(
            f"the report would have {page.n_bytes / 1e6:.1f} MB without any candidate, and may have "
            f"{MAX_BYTES / 1e6:.0f}; the configuration or the training of the run is too long for a page"
        )
    write_text(out, page.text)
    return page


def figures_folder(run: RunFiles, out: Path) -> Path:
    """Where the figures of a page lie: ``figures`` in the run folder, for a page elsewhere a folder named after it."""
    inside = out.parent.resolve() == run.folder.resolve()
    return out.parent / ("figures" if inside else f"{out.stem}_figures")


def make_page(material: Material, studio: Studio) -> Page:
    """The page, with details of as many of the best candidates as it has room for.

    Args:
        material: content of the report.
        studio: draws the figures, which show all candidates.
    """
    environment = _templates()
    template = environment.get_template("report.html")
    candidates = material.candidates
    cards = [] if candidates is None else make_cards(material.run, candidates, material.known)
    values = _values(material, studio, cards)
    bare = template.render(report=values | _detailed([]))
    room = MAX_BYTES - len(bare.encode("utf-8")) - _SPARE
    details = details_within(room, cards, values, environment)
    return Page(template.render(report=values | _detailed(details)), len(details))


def _templates() -> Environment:
    """The templates of the page; text from data is escaped."""
    environment = Environment(
        loader=PackageLoader("gflownet_crystal.report", "assets"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["minus"] = lambda text: _NEGATIVE.sub("\N{MINUS SIGN}", str(text))
    return environment


def _detailed(details: Sequence[Details]) -> dict[str, object]:
    """Values of the template that depend on the candidates with details."""
    cards = [one.card for one in details]
    placed = any(card.placed for card in cards)
    return {
        "details": details,
        "cells": [one.cells for one in details],
        "zip": data_link(all_cifs(cards), "application/zip") if placed else "",
    }


def _values(material: Material, studio: Studio, cards: Sequence[Card]) -> dict[str, object]:
    """The other values of the template, with the figures drawn."""
    run, candidates = material.run, material.candidates
    if candidates is not None:
        table_drawing(studio, candidates)
    return {
        **_words(run, cards),
        **_assets(),
        "tiles": headline(run, cards, material.samples, material.energies),
        "findings": candidate_findings(cards, run, len(material.known or ())) if cards else [],
        "notes": list(material.notes),
        "may_be_crystals": run.may_be_crystals,
        "n_candidates": len(cards),
        "is_judged": any(card.status is not None for card in cards),
        "styles": element_styles({symbol for card in cards for symbol in card.elements}),
        "table": table_cells(symbol for card in cards for symbol in card.elements),
        "all_candidates": run.candidates_folder / CANDIDATES,
        "judged": None if candidates is None else judged_drawing(studio, run, candidates.frame),
        "hull": hull_drawing(studio, cards, NEAR_HULL),
        "two_judges": two_judges_drawing(studio, run, cards),
        "funnel": funnel_drawing(studio, run),
        "energies": energy_drawing(studio, run, material.energies, material.labels),
        "conditions": condition_drawing(studio, run, material.samples),
        "trade_off": trade_off_drawing(
            studio, run, material.samples, (material.untrained, material.prior, candidates)
        ),
        "quantiles": _quantiles(material),
        "training": training_drawing(studio, run),
        **_crystal_figures(material, studio),
        "prior": _prior_figures(material, studio),
    }


def _crystal_figures(material: Material, studio: Studio) -> dict[str, object]:
    """Figures and table of the samples' chemistry and symmetry; none if there are no samples, or no crystals."""
    samples, candidates, reference = material.samples, material.candidates, material.reference
    if samples is None:
        return {"figures": None, "systems": None}
    drawn = crystal_drawings(studio, samples, candidates, reference, material.untrained)
    return {"figures": drawn, "systems": _systems([samples, candidates, reference])}


def _prior_figures(material: Material, studio: Studio) -> list[Drawing]:
    """Samples beside those of the prior and the crystals that it learned from; empty without these."""
    beside = [] if material.prior is None or not len(material.prior) else [shares_of(material.prior)]
    if material.learned:
        label = f"{material.learned['n']:,} crystals that the prior learned from"
        beside.append(Shares("reference", label, material.learned))
    if material.samples is None or not beside:
        return []
    sets = [shares_of(material.samples), *beside]
    return [
        studio.draw(name, title, caption, partial(make, sets), wide=True)
        for name, title, caption, make in FIGURES
    ]


def _words(run: RunFiles, cards: Sequence[Card]) -> dict[str, object]:
    name, _, unit = run.property_label.partition(" (")
    folder = run.folder
    env, proxy = run.summary.env or "an unfinished env", run.summary.proxy or "an unfinished proxy"
    lacking = "no candidates yet" if run.may_be_crystals else "no crystals"
    what = f"{len(cards)} candidates" if cards else lacking
    return {
        "title": f"Report of the run {folder.resolve().name}",
        "subtitle": f"gflownet_crystal: {env} with {proxy}; {what}.",
        "made": f"Made on {datetime.now(UTC):%Y-%m-%d} by gflownet_crystal {gflownet_crystal.__version__}.",
        "property": name,
        "unit": unit.removesuffix(")"),
        "judge": run.judge,
        "fewest_entries": FEWEST_ENTRIES,
        "step": _STEP,
        "asked": asked(run),
        "config": yaml.safe_dump(
            dict(run.config), sort_keys=False, allow_unicode=True, default_flow_style=None
        ),
        "commands": {
            "train": _command("train_gfn", setting_word("run.dir", folder), "resume=true"),
            "export": _command(
                "export", setting_word("run", folder), setting_word("out", folder / "candidates")
            ),
            "relax": _relaxing(run),
        },
    }


def _relaxing(run: RunFiles) -> str:
    """The command that relaxes the candidates."""
    if run.is_pipeline:
        named = setting_word("run", run.folder), setting_word("out", run.candidates_folder)
        command = _command("pipeline", *named, "relax=20", "resume=true")
        return f"{command}  # and the other settings that made them"
    named = setting_word("structures", run.candidates_folder), setting_word("out", run.folder / "relaxed")
    return _command("relax", *named)


def _command(*words: str) -> str:
    return " ".join(["gflownet-crystal", *words])


def _assets() -> dict[str, str]:
    folder = files("gflownet_crystal.report") / "assets"
    return {
        key: (folder / name).read_text(encoding="utf-8")
        for key, name in (("css", "style.css"), ("viewer", "viewer.js"), ("script", "page.js"))
    }


def _systems(populations: Sequence[Population | None]) -> dict[str, object]:
    shown = [population for population in populations if population is not None and len(population)]
    shares = [system_shares(p.frame[SPACE_GROUP].to_numpy(dtype=np.int64)) for p in shown]
    rows = [(name, [one[name] for one in shares]) for name in shares[0]]
    return {"labels": [population.label for population in shown], "rows": rows}


def _quantiles(material: Material) -> list[tuple[str, list[float]]]:
    rows = []
    for kind, values in material.energies.items():
        finite = values[np.isfinite(values)]
        if len(finite):
            rows.append((material.labels[kind], np.quantile(finite, _QUANTILES).tolist()))
    return rows
