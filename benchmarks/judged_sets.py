"""Judged energies of several sets of crystals on one axis. Writes a figure, prints a table and one JSON object.

    python -m benchmarks.judged_sets names=NAME,... evaluations=DIR,... figure=FILE.png [judge=sevenn:7net-l3i5]

Of each set a name and DIR that ``evaluate structures=SET out=DIR metrics=[stability] judge=JUDGE`` made, in the same
order. The figure shows for each energy above the hull, eV/atom after relaxation, the share of the set that lies at or
below it; crystals that the judge could not relax count as above every energy.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from benchmarks.options import names, read_options, run
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.proxies.hull import NEAR_HULL
from gflownet_crystal.report.figure_style import COLOURS, figure_style, new_figure, plain, save_png

_LOWEST, _HIGHEST = -0.2, 1.0


def judged_energies(folder: Path, judge: str) -> NDArray[np.float64]:
    """Energies above the hull of a set, eV/atom, ascending; infinite where the relaxation failed.

    Args:
        folder: output folder of ``evaluate``.
        judge: name of the judge as in ``evaluate``.

    Raises:
        DataError: the folder holds no judgements of that judge.
    """
    path = folder / f"stability_{judge.replace(':', '-')}.csv"
    if not path.is_file():
        raise DataError(f"{path} does not exist; make it with evaluate metrics=[stability] judge={judge}")
    above = pd.read_csv(path)["e_above_hull"].to_numpy(dtype=np.float64)
    return np.sort(np.nan_to_num(above, nan=np.inf))


def draw(sets: dict[str, NDArray[np.float64]], judge: str, path: Path) -> None:
    """Write the figure.

    Args:
        sets: ascending energies above the hull by name of the set.
        judge: name of the judge.
        path: path of the PNG.
    """
    with figure_style():
        figure = new_figure(7.0, 3.6)
        axes = figure.add_subplot()
        for (name, above), colour in zip(sets.items(), COLOURS.values(), strict=False):
            share = np.arange(len(above) + 1) / len(above)
            steps = np.concatenate([[_LOWEST], np.clip(above, _LOWEST, _HIGHEST), [_HIGHEST]])
            axes.step(
                steps, np.append(share, share[-1]), where="post", color=colour, label=plain(name), linewidth=2
            )
        axes.axvline(NEAR_HULL, color="#888888", linewidth=0.8, linestyle="--")
        axes.set_xlim(_LOWEST, _HIGHEST - 0.01)
        axes.set_ylim(0.0, 1.0)
        axes.set_xlabel(f"energy above the hull after relaxation, eV/atom, by {plain(judge)}")
        axes.set_ylabel("share at or below")
        axes.legend(loc="lower right")
        save_png(figure, path)


def main(arguments: list[str]) -> None:
    """Read the arguments, write the figure and print the table."""
    defaults = {"judge": "sevenn:7net-l3i5"}
    options = read_options(__doc__, defaults, arguments, required=("names", "evaluations", "figure"))
    chosen, folders = names(options, "names"), names(options, "evaluations")
    if len(chosen) != len(folders) or len(chosen) > len(COLOURS):
        raise ConfigError(f"names and evaluations must be lists of the same length, at most {len(COLOURS)}")
    pairs = zip(chosen, folders, strict=True)
    sets = {name: judged_energies(Path(folder), options["judge"]) for name, folder in pairs}
    draw(sets, options["judge"], Path(options["figure"]))
    report = {
        name: {
            "n": len(above),
            "failed": int(np.isinf(above).sum()),
            "median": round(float(np.median(above)), 4),
            **{
                f"within_{limit:g}": round(float(np.mean(above <= limit)), 4)
                for limit in (NEAR_HULL, 0.05, 0.0)
            },
        }
        for name, above in sets.items()
    }
    print(pd.DataFrame(report).to_string())
    print(json.dumps(report))


if __name__ == "__main__":
    run(main)
