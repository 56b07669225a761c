"""The labelled specs that a correction for placed atoms was trained on, which travel with its weights in few bytes.

They lie beside the weights, ``NAME_labels.safetensors`` beside ``NAME.safetensors``, so that a later training learns
from them and from new ones together.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import torch

from gflownet_crystal.data.schema import ENERGY_COLUMN, SAMPLED
from gflownet_crystal.data.splits import reduced_formulas
from gflownet_crystal.structures.packed_compositions import pack_compositions, unpack_compositions
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.spec_io import REQUIRED_COLUMNS, frame_to_specs, specs_to_frame
from gflownet_crystal.training.proxies.recipe import Trained
from gflownet_crystal.weights import fitting_card, load_weights, weights_path

KIND = "placing_labels"
BESIDE = "labels"
"""Suffix of the name of their file, added to that of the weights."""


def pack_labels(table: pd.DataFrame) -> Trained:
    """Labelled specs of samplers as tensors and a card; equal rows once.

    Args:
        table: prepared rows with finite labels.

    Raises:
        DataError: a row is no spec.
    """
    table = distinct_labels(table)
    specs = frame_to_specs(table)
    sources, source = np.unique(table["energy_source"].to_numpy(dtype=np.str_), return_inverse=True)
    tensors = {
        **pack_compositions(specs.composition),
        "space_group": specs.space_group.to(torch.uint8),
        "lattice": torch.cat([specs.lengths, specs.angles], dim=1).float(),
        "energy": torch.from_numpy(table[ENERGY_COLUMN].to_numpy(dtype=np.float32).copy()),
        "source": torch.from_numpy(source.astype(np.int16)),
    }
    card = {
        "kind": KIND,
        "property": ENERGY_COLUMN,
        "unit": "eV/atom",
        "energy_sources": sources.tolist(),
        "samples_seen": len(table),
        "formulas": len(np.unique(reduced_formulas(table))),
    }
    # half of the digits of a length would be another cell
    return Trained(tensors, card, half=False)


def distinct_labels(table: pd.DataFrame) -> pd.DataFrame:
    """Labelled specs, equal ones once: a table repeats rows to give them weight."""
    return table.drop_duplicates([*REQUIRED_COLUMNS, ENERGY_COLUMN])


def labels_file(weights: str | Path) -> Path:
    """Where the labels of weights (name or ``.safetensors`` file) are, if they are kept.

    Raises:
        WeightsError: there are no such weights.
    """
    path = weights_path(weights)
    return path.with_stem(f"{path.stem}_{BESIDE}")


def read_labels(path: str | Path) -> pd.DataFrame:
    """Labelled specs of samplers as prepared rows, without atoms.

    Args:
        path: file (or shipped name) of labels.

    Raises:
        WeightsError: missing, corrupt, or of another kind.
    """
    tensors, card = load_weights(path, KIND)
    with fitting_card(path):
        lattice = tensors["lattice"].double()
        specs = CrystalSpec(
            tensors["space_group"].long(), unpack_compositions(tensors), lattice[:, :3], lattice[:, 3:]
        )
        sources = np.array(card["energy_sources"], dtype=object)[tensors["source"].long().numpy()]
        table = specs_to_frame(specs)[list(REQUIRED_COLUMNS)]
        table = table.assign(
            **{ENERGY_COLUMN: tensors["energy"].double().numpy()},
            energy_source=sources,
            strain="",
            structure_source=SAMPLED,
            mp20_split="none",
        )
    table.insert(0, "material_id", [f"{Path(path).stem}-{row}" for row in range(len(table))])
    return table
