"""Networks on atoms under changes of description of real crystals; forces against differences. Prints one JSON object.

    OMP_NUM_THREADS=1 python -m benchmarks.symmetry data=FILE.parquet [n=200] [network=alignn/fast,gemsnet/paper]
        [precision=float64,float32] [forces=20]

FILE holds crystals in the columns ``lattice``, ``atomic_numbers`` and ``frac_coords``. Each ``network`` is a name of
``models/registry.py`` and a preset of its settings, with new weights. The n crystals are read as they are and rotated,
reflected, moved, with their atoms permuted, in three other bases of the lattice (one of them very skewed) and as
supercells. For energies, displacements (A) and lattice actions the largest difference is given, over the largest
entry if that is above 1, and the change of description that it belongs to. ``forces`` compares, for that many crystals
in float64, forces and the virial of networks with energies on graphs that fade with central differences: the largest
difference over the largest force, and so for the virial.
"""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.energy_models import preset
from benchmarks.graphs import read_crystals
from benchmarks.options import names, read_options, run
from gflownet_crystal.models.layers.inputs import graph_for
from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.models.registry import network_entry
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import descriptions

_PRECISIONS = ("float64", "float32")
_DEFAULTS = {
    "n": "200",
    "network": "alignn/paper,alignn/fast,gemsnet/paper,gemsnet/fast,gemsnet/energies,egnn/paper",
    "precision": "float64,float32",
    "forces": "20",
}
_BATCH = 8
_STEP = 1e-5


def build(network: str, dtype: torch.dtype) -> nn.Module:
    """A new network, named with a preset of its settings as in ``alignn/fast``."""
    name, _, setting = network.partition("/")
    return network_entry(name).network(preset(name, setting), 0).to(dtype).eval()


def energy_of(said: Tensor | AtomOutput) -> Tensor | None:
    """The energies among the output of a network."""
    return said if isinstance(said, Tensor) else said.energy


def read(network: nn.Module, batch: StructureBatch, dtype: torch.dtype) -> AtomOutput:
    """All that a network says of a batch."""
    parts = []
    for start in range(0, len(batch), _BATCH):
        with torch.no_grad():
            said = network(graph_for(network, batch[start : start + _BATCH], dtype))
        parts.append(AtomOutput(said, None, None) if isinstance(said, Tensor) else said)
    columns = zip(*parts, strict=True)
    return AtomOutput(*(None if column[0] is None else torch.cat(column) for column in columns))


def in_angstrom(displacement: Tensor, batch: StructureBatch) -> Tensor:
    """Fractional displacements as Cartesian ones."""
    return torch.einsum("ni,nij->nj", displacement, batch.cell[batch.structure_index].to(displacement.dtype))


def differences(network: nn.Module, batch: StructureBatch, dtype: torch.dtype) -> dict[str, Any]:
    """Largest difference of each output between descriptions of the same crystals."""
    as_given = read(network, batch, dtype)
    worst: dict[str, Any] = {}
    for description, (other, expected) in descriptions(batch).items():
        said = read(network, other, dtype)
        for name, mine, theirs in zip(AtomOutput._fields, said, expected(as_given), strict=True):
            if mine is None or theirs is None:
                continue
            if name == "displacement":
                mine, theirs = in_angstrom(mine, other), in_angstrom(theirs, other)
            difference = float((mine - theirs).abs().max() / theirs.abs().max().clamp(min=1.0))
            if difference >= worst.get(name, (0.0, ""))[0]:
                worst[name] = (difference, description)
    return worst


def slopes(network: nn.Module, batch: StructureBatch) -> tuple[Tensor, Tensor]:
    """Derivatives of the summed energies by fractional coordinates, (N, 3), and by strain, (n, 3, 3)."""
    fractional = batch.fractional.clone().requires_grad_(True)
    strain = torch.zeros_like(batch.cell).requires_grad_(True)
    cell = batch.cell @ (torch.eye(3, dtype=torch.float64) + strain)
    graph = graph_for(network, batch, torch.float64, cell=cell, fractional=fractional)
    energy = energy_of(network(graph))
    assert energy is not None
    by_position, by_strain = torch.autograd.grad(energy.sum(), [fractional, strain])
    return by_position, by_strain


def total(network: nn.Module, batch: StructureBatch) -> Tensor:
    """Energies of a batch in float64, (n,)."""
    with torch.no_grad():
        energy = energy_of(network(graph_for(network, batch, torch.float64)))
    assert energy is not None
    return energy


def force_errors(network: nn.Module, batch: StructureBatch) -> dict[str, float]:
    """Forces and virials against central differences, relative to the largest of each."""
    by_position, by_strain = slopes(network, batch)
    first = batch.n_atoms.cumsum(0) - batch.n_atoms
    worst = {"forces": 0.0, "virial": 0.0}
    for axis in range(3):
        # the first atom of each structure moves
        step = torch.zeros_like(batch.fractional)
        step[first, axis] = _STEP
        ahead, behind = (replace(batch, fractional=batch.fractional + sign * step) for sign in (1, -1))
        numeric = (total(network, ahead) - total(network, behind)) / (2 * _STEP)
        difference = float((numeric - by_position[first, axis]).abs().max() / by_position.abs().max())
        worst["forces"] = max(worst["forces"], difference)
        for other in range(3):
            strain = torch.zeros(3, 3, dtype=torch.float64)
            strain[axis, other] = _STEP
            ahead, behind = (replace(batch, cell=batch.cell + sign * batch.cell @ strain) for sign in (1, -1))
            numeric = (total(network, ahead) - total(network, behind)) / (2 * _STEP)
            difference = float((numeric - by_strain[:, axis, other]).abs().max() / by_strain.abs().max())
            worst["virial"] = max(worst["virial"], difference)
    return worst


def main(arguments: list[str]) -> None:
    """Read the arguments, compare and print."""
    options = read_options(__doc__, _DEFAULTS, arguments, required=["data"])
    torch.set_num_threads(1)
    crystals = read_crystals(options["data"], int(options["n"]))
    report: dict[str, Any] = {"crystals": len(crystals)}
    for network in names(options, "network"):
        found: dict[str, Any] = {
            precision: differences(
                build(network, getattr(torch, precision)), crystals, getattr(torch, precision)
            )
            for precision in names(options, "precision", _PRECISIONS)
        }
        exact = build(network, torch.float64)
        settings: Any = exact.settings
        found["graph"] = str(settings.graph)
        if settings.graph.fade > 0.0:
            found["against_differences"] = force_errors(exact, crystals[: int(options["forces"])])
        report[network] = found
        print(network, json.dumps(found), file=sys.stderr, flush=True)
    print(json.dumps(report, indent=1))


if __name__ == "__main__":
    run(main)
