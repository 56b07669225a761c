"""A property beside a random forest on the same split. Prints one JSON object.

    python -m benchmarks.properties weights=FILE data=FILE,FILE [labels=TABLE] [atoms=FILE] [trees=200]

``weights`` are those of ``train_property`` (a name of shipped ones, or a file); ``data`` and ``labels`` are the data
that they learned from, in which their split is found again; ``atoms`` are weights of the same property that see atoms,
for which the data must have these. Printed are errors on the validation formulas (MP-20's val where the table has it)
of the proxies, of the mean of both, of a random forest and of the training set's median, in the unit and in the
transformed property; crystals that the proxy with atoms cannot judge are left out for all. The
forest reads, as Magpie's features do, the mean, deviation, minimum, maximum and range over the composition of 22
properties of the elements; and the space group, volume per atom and lattice parameters, which the proxy reads too.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray
from sklearn.ensemble import RandomForestRegressor

from benchmarks.options import names, read_options, run
from gflownet_crystal.data.joined_labels import with_joined_labels
from gflownet_crystal.data.prepare import load_prepared
from gflownet_crystal.data.schema import STRUCTURE_COLUMNS
from gflownet_crystal.proxies.base import Prediction
from gflownet_crystal.proxies.spec_property import PropertyProxy
from gflownet_crystal.proxies.structure_property import StructureProperty
from gflownet_crystal.structures.element_properties import element_properties
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.training.proxies.property_recipe import PropertyRecipe
from gflownet_crystal.training.proxies.recipe import split_table


def descriptors(specs: CrystalSpec) -> NDArray[np.float64]:
    """Features of the forest, (n, f).

    Args:
        specs: n specs.
    """
    table = element_properties().double()
    fractions = specs.fractions.double()
    present = (fractions > 0)[:, :, None]
    mean = fractions @ table
    deviation = ((fractions @ table.square()) - mean.square()).clamp(min=0).sqrt()
    low = torch.where(present, table, torch.inf).amin(1)
    high = torch.where(present, table, -torch.inf).amax(1)
    cell = torch.stack(
        [specs.space_group.double(), specs.volume_per_atom.log(), specs.n_atoms.double().log()], dim=1
    )
    parts = [mean, deviation, low, high, high - low, cell, specs.lengths.log(), specs.angles]
    return torch.cat(parts, dim=1).numpy()


def errors(value: NDArray[np.float64], label: NDArray[np.float64], transform: str) -> dict[str, float]:
    """Mean absolute errors of values (n,), in the unit and of the transformed property."""
    found = {"mae": float(np.abs(value - label).mean())}
    if transform == "log10":
        found["mae_log10"] = float(np.abs(np.log10(value) - np.log10(label)).mean())
    return found


def covered(prediction: Prediction, label: NDArray[np.float64]) -> float:
    """Share of labels (n,) within two standard deviations of a prediction."""
    error = np.abs(prediction.value.numpy() - label)
    return float((error <= 2 * prediction.std.numpy()).mean())


def judged(table: pd.DataFrame, weights: str) -> tuple[pd.DataFrame, Prediction | None]:
    """Rows that weights of a property with atoms can judge, and their predictions; all rows without weights."""
    if not weights:
        return table, None
    proxy, structures = StructureProperty(weights), frame_to_structures(table[list(STRUCTURE_COLUMNS[1:])])
    found = proxy(structures)
    rows = found.valid
    kept = Prediction(found.value[rows], found.std[rows], found.valid[rows], found.penalised[rows])
    return table[rows.numpy()].reset_index(drop=True), kept


def main(arguments: list[str]) -> None:
    """Read the arguments and print the figures."""
    defaults = {"labels": "", "atoms": "", "trees": "200"}
    options = read_options(__doc__, defaults, arguments, required=("weights", "data"))
    proxy = PropertyProxy(options["weights"])
    card = proxy.card
    column, settings = card["column"], dict(card["settings"])
    recipe = PropertyRecipe(column, proxy.unit, transform=proxy.transform, holdout=settings["holdout"])
    table = load_prepared(names(options, "data"), labels=[column], atoms=bool(options["atoms"]))
    if options["labels"]:
        table = with_joined_labels(table, Path(options["labels"]), column)
    parts = split_table(recipe.rows(table), settings["holdout"], settings["seed"])
    train, (kept, atoms) = frame_to_specs(parts.train), judged(parts.validation, options["atoms"])
    validation, label = frame_to_specs(kept), kept[column].to_numpy(dtype=np.float64)
    learned = parts.train[column].to_numpy(dtype=np.float64)
    is_log = proxy.transform == "log10"
    forest = RandomForestRegressor(int(options["trees"]), max_features=0.33, n_jobs=-1, random_state=0)
    forest.fit(descriptors(train), np.log10(learned) if is_log else learned)
    predicted = forest.predict(descriptors(validation))
    values = {
        "random_forest": 10**predicted if is_log else predicted,
        "median": np.full(len(label), np.median(learned)),
    }
    specs = proxy(validation)
    shares = {"proxy": {"within_2_std": covered(specs, label)}}
    values["proxy"] = specs.value.numpy()
    if atoms is not None:
        values |= {"atoms": atoms.value.numpy(), "mean_of_both": (atoms.value + specs.value).numpy() / 2}
        shares["atoms"] = {"within_2_std": covered(atoms, label)}
    report = {
        "property": f"{proxy.property_name} ({proxy.unit})",
        "trained_on": len(parts.train),
        "validation": len(kept),
        **{
            name: errors(value, label, proxy.transform) | shares.get(name, {})
            for name, value in values.items()
        },
    }
    print(pd.Series(report).to_string())
    print(json.dumps(report))


if __name__ == "__main__":
    run(main)
