"""The last page of a training or a prediction, on standard output."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path

import pandas as pd
from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from gflownet_crystal.common.objective_columns import property_columns
from gflownet_crystal.common.run_schema import ENERGY, FORMULA, LOG_REWARD, SPACE_GROUP, VOLUME, WITHIN_LIMITS
from gflownet_crystal.common.run_summary import RunSummary
from gflownet_crystal.crystallography.space_groups import space_group_symbol
from gflownet_crystal.data.schema import HULL_COLUMN, JUDGED_HULL
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.workflows.sampling.objectives import NEAR

N_ROWS = 10
_NARROW = 80


def print_page(summary: RunSummary, best: pd.DataFrame, files: Mapping[str, Path], following: str) -> None:
    """Print the best objects, figures of the samples, and the files.

    Args:
        summary: summary of the run.
        best: candidates, or the samples of highest reward; best first.
        files: paths by their contents.
        following: the command to go on with.
    """
    # a page that is piped to a file is as wide as its content
    console = Console(highlight=False, width=None if Console().is_terminal else 120)
    figures, name = summary.samples, f"{summary.quantity.name} ({summary.quantity.unit})"
    if JUDGED_HULL in best.columns:
        Console(highlight=False, width=_NARROW).print(candidate_table(best.head(N_ROWS), name))
    else:
        console.print(best_table(best.head(N_ROWS), "Best samples by reward", name))
    quantiles = figures["energy_quantiles"]
    # under conditions there are as many as there are values
    log_z = "" if summary.log_z is None else f"log Z {summary.log_z:.4f} after "
    lines = [
        f"{figures['n']} samples: median {name} {quantiles['0.5']:.4f}, 95 % below {quantiles['0.95']:.4f}",
        f"{log_z}{summary.iterations} iterations, {summary.training_seconds:.0f} s",
    ]
    if "elements" in figures:
        lines.insert(1, f"{figures['n_formulas']} formulas in {figures['n_space_groups']} space groups")
        lines.insert(2, f"elements: {' '.join(figures['elements'])}")
    if found := figures.get("shares"):
        words = {
            "stable": f"within {NEAR:g} eV/atom of the hull",
            WITHIN_LIMITS: "within the limits",
            "both": "both",
        }
        told = [f"{100 * share:.1f} % {words[kind]}" for kind, share in found.items()]
        lines.insert(1, f"by the proxies {', '.join(told)}")
    lines += [f"{what}: {path}" for what, path in files.items()]
    # names of folders are no markup
    console.print("\n".join([*lines, f"next: {following}"]), soft_wrap=True, markup=False)


def candidate_table(frame: pd.DataFrame, name: str) -> Table:
    """Candidates as a table of at most 80 columns.

    Args:
        frame: frame as written by ``export``.
        name: name and unit of the property that the proxy predicts; shown where that is no energy.
    """
    specs = frame_to_specs(frame)
    is_energy = bool(frame[HULL_COLUMN].notna().any())
    title = "Best candidates: eV/atom above the hull, by the proxy and with atoms"
    if not is_energy:
        title = f"Best candidates: {name} by the proxy, eV/atom above the hull with atoms"
    columns = {
        "rank": frame["rank"].astype(str),
        "formula": specs.reduced_formulas(),
        "group": [space_group_symbol(group) for group in specs.space_group.tolist()],
        "proxy": frame[HULL_COLUMN].map("{:.3f}".format)
        if is_energy
        else frame["energy"].map("{:.4g}".format),
        "atoms": frame[JUDGED_HULL].map("{:.3f}".format),
        "std": frame["energy_before_std"].map("{:.3f}".format),
        **{column: frame[column].map("{:.4g}".format) for column in property_columns(frame)},
        "nearest known": frame["relative"].astype(object).fillna("").astype(str),
    }
    return _narrow_table(title, columns)


def prediction_table(frame: pd.DataFrame) -> Table:
    """Predicted structures as a table of at most 80 columns.

    Args:
        frame: ``candidates.csv`` of ``predict``.
    """
    specs = frame_to_specs(frame)
    columns = {
        "rank": frame["rank"].astype(str),
        "formula": specs.reduced_formulas(),
        "group": [space_group_symbol(group) for group in specs.space_group.tolist()],
        "atoms": [str(n) for n in specs.n_atoms.tolist()],
        "Å^3/atom": frame[VOLUME].map("{:.2f}".format),
        "above hull": frame[JUDGED_HULL].map("{:.3f}".format),
        "std": frame["energy_before_std"].map("{:.3f}".format),
        "probability": frame["probability"].map("{:.3g}".format),
    }
    return _narrow_table("Structures, best first: eV/atom above the hull", columns)


def print_predictions(frame: pd.DataFrame) -> None:
    """Print the first structures of a prediction, if there are any."""
    if len(frame):
        Console(highlight=False, width=_NARROW).print(prediction_table(frame.head(2 * N_ROWS)))


def _narrow_table(title: str, columns: Mapping[str, Iterable[str]]) -> Table:
    """A table without lines between columns of text, those of words to the left."""
    table = Table(title=escape(title), box=SIMPLE_HEAD, padding=(0, 1, 0, 0), pad_edge=False)
    for name in columns:
        table.add_column(name, justify="left" if name in ("formula", "group", "nearest known") else "right")
    for row in zip(*columns.values(), strict=True):
        table.add_row(*map(escape, row))
    return table


def best_table(frame: pd.DataFrame, title: str, label: str) -> Table:
    """The rows of ``frame`` as a table for the terminal.

    Args:
        frame: frame as written by ``sample`` or ``export``.
        title: title of the table.
        label: name and unit of the property.
    """
    shown = pd.DataFrame({"rank": range(1, len(frame) + 1)}, index=frame.index).astype(str)
    if SPACE_GROUP in frame.columns:
        groups = frame[SPACE_GROUP].astype(int)
        shown[FORMULA] = frame[FORMULA].astype(str)
        shown["group"] = [f"{group} {space_group_symbol(group)}" for group in groups]
        shown["Å^3/atom"] = frame[VOLUME].map("{:.2f}".format)
    else:
        places = [name for name in frame.columns if name.startswith("x")]
        shown["object"] = [", ".join(f"{value:.4g}" for value in row) for row in frame[places].to_numpy()]
    shown[label] = frame[ENERGY].map("{:.4f}".format)
    if HULL_COLUMN in frame.columns and frame[HULL_COLUMN].notna().any():
        shown["above hull (eV/atom)"] = frame[HULL_COLUMN].map("{:.4f}".format)
    for column in property_columns(frame):
        shown[column] = frame[column].map("{:.4g}".format)
    shown["log R"] = frame[LOG_REWARD].map("{:.3f}".format)
    table = Table(*(escape(str(name)) for name in shown.columns), title=escape(title))
    for row in shown.to_numpy():
        table.add_row(*map(escape, row))
    return table
