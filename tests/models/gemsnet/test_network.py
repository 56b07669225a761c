"""GemsNet: symmetries, its fast sums against loops over pairs, forces, and independence of the batch."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from torch import Tensor

from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.models.gemsnet.network import GemsNet
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings, Widths
from gflownet_crystal.models.layers.inputs import CrystalGraph, GraphSettings, crystal_graph
from gflownet_crystal.models.layers.vector_fields import AtomOutput
from gflownet_crystal.structures.convert import from_pymatgen, to_pymatgen
from gflownet_crystal.structures.structure import StructureBatch
from tests.models.equivalents import (
    IN_THE_SAME_AXES,
    assert_same,
    descriptions,
    known_crystals,
    random_crystals,
)

NEAREST = GraphSettings(cutoff=None, neighbours=12)
WITHIN = GraphSettings(cutoff=4.5, neighbours=None)
FADING = GraphSettings(cutoff=None, neighbours=12, fade=0.8)
SMALL = Widths(
    atom=24,
    edge=20,
    triplet=8,
    radial=6,
    circular=5,
    bilinear=12,
    lattice_head=10,
    atom_residuals=1,
    edge_head=1,
)


def settings(**changes: object) -> GemsNetSettings:
    return replace(
        GemsNetSettings(graph=NEAREST, widths=SMALL, n_blocks=2, n_radial=12, n_orders=5, cutoff=4.5),
        **changes,
    )


def network(chosen: GemsNetSettings | None = None, dtype: torch.dtype = torch.float64) -> GemsNet:
    return GemsNet(settings() if chosen is None else chosen, seed=1).to(dtype)


def read(model: GemsNet, batch: StructureBatch) -> AtomOutput:
    dtype = model.atoms.learned.dtype
    with torch.no_grad():
        return model(crystal_graph(batch, model.settings.graph, dtype))


def crystals(kind: str) -> StructureBatch:
    return known_crystals() if kind == "known" else random_crystals(8, seed=3)


@pytest.mark.parametrize("basis", ["gaussian", "bessel"])
@pytest.mark.parametrize("graph", [NEAREST, WITHIN], ids=["nearest", "within"])
@pytest.mark.parametrize("kind", ["known", "random"])
def test_outputs_follow_the_description_of_the_crystal(kind, graph, basis):
    batch = crystals(kind)
    exact = network(settings(graph=graph, basis=basis))
    single = network(settings(graph=graph, basis=basis), torch.float32)
    outputs = read(exact, batch), read(single, batch)
    for other, expected in descriptions(batch).values():
        assert_same(read(exact, other), expected(outputs[0]), 1e-10)
        assert_same(read(single, other), expected(outputs[1]), 1e-5)


@pytest.mark.parametrize("preset", ["paper", "fast", "energies", "denoising"])
def test_presets_follow_the_description_of_the_crystal(preset):
    batch = random_crystals(2, seed=5, most_atoms=2)
    model = network(getattr(GemsNetSettings, preset)())
    output = read(model, batch)
    # a network that tells the axes apart reads another basis as another crystal
    for name in ("reflection",) if model.settings.axes else ("reflection", "basis 2"):
        other, expected = descriptions(batch)[name]
        assert_same(read(model, other), expected(output), 1e-10)


@pytest.mark.parametrize("graph", [NEAREST, WITHIN], ids=["nearest", "within"])
def test_with_axes_outputs_follow_turns_and_not_other_cells(graph):
    batch = random_crystals(8, seed=3)
    model = network(settings(graph=graph, axes=True))
    output = read(model, batch)
    for name, (other, expected) in descriptions(batch).items():
        if name in IN_THE_SAME_AXES:
            assert_same(read(model, other), expected(output), 1e-10)
        elif name.startswith("basis"):
            difference = read(model, other).lattice_action - expected(output).lattice_action
            assert difference.abs().max() > 1e-3


def test_outputs_depend_on_what_they_are_given():
    """The symmetries above are not those of a constant."""
    batch = random_crystals(4, seed=3)
    model = network()
    output = read(model, batch)
    stretched = replace(batch, cell=batch.cell * torch.tensor([1.0, 1.0, 1.1], dtype=torch.float64))
    other = read(model, stretched)
    swapped = read(model, replace(batch, atomic_numbers=batch.atomic_numbers % 94 + 1))
    for changed in (other, swapped):
        for mine, theirs in zip(output, changed, strict=True):
            assert (mine - theirs).abs().max() > 1e-4
    # an atom between equal neighbours stays, a cubic crystal keeps its angles
    known = read(model, known_crystals())
    assert known.displacement[:4].abs().max() < 1e-12
    assert known.lattice_action[2].fill_diagonal_(0.0).abs().max() < 1e-12


def energy_at(model: GemsNet, batch: StructureBatch, cell: Tensor, fractional: Tensor) -> Tensor:
    moved = replace(batch, cell=cell.detach(), fractional=fractional.detach())
    graph = crystal_graph(moved, model.settings.graph, torch.float64, cell, fractional, triplets=False)
    return model(graph).energy.sum()


@pytest.mark.parametrize("basis", ["gaussian", "bessel"])
@pytest.mark.parametrize("graph", [WITHIN, FADING], ids=["within", "fading"])
def test_forces_and_stresses_equal_finite_differences(graph, basis):
    model = network(settings(graph=graph, basis=basis, displacement=False, lattice=False))
    batch = random_crystals(3, seed=11)
    cell, fractional = batch.cell.clone().requires_grad_(), batch.fractional.clone().requires_grad_()
    forces = torch.autograd.grad(energy_at(model, batch, cell, fractional), (fractional, cell))
    step = 1e-4
    with torch.no_grad():
        for atom, axis in ((0, 0), (2, 1), (4, 2)):
            change = torch.zeros_like(batch.fractional)
            change[atom, axis] = step
            high = energy_at(model, batch, batch.cell, batch.fractional + change)
            low = energy_at(model, batch, batch.cell, batch.fractional - change)
            assert forces[0][atom, axis].item() == pytest.approx((high - low).item() / (2 * step), abs=2e-6)
        for row, axis in ((0, 0), (1, 2), (2, 1)):
            change = torch.zeros_like(batch.cell)
            change[1, row, axis] = step
            high = energy_at(model, batch, batch.cell + change, batch.fractional)
            low = energy_at(model, batch, batch.cell - change, batch.fractional)
            assert forces[1][1, row, axis].item() == pytest.approx((high - low).item() / (2 * step), abs=2e-6)
    assert forces[0].abs().max() > 1e-3


def test_all_outputs_are_continuous_where_neighbours_change_places():
    """An atom goes a long way in small steps: on the fading graph no step stands out, on the other some do."""
    batch = random_crystals(8, seed=11)
    batch = batch[batch.n_atoms > 2][:1]
    n_steps, n_atoms = 400, len(batch.fractional)
    path = StructureBatch.cat([batch] * n_steps)
    fractional = path.fractional.view(n_steps, n_atoms, 3).clone()
    fractional[:, 1, 0] += torch.linspace(0.0, 0.3, n_steps, dtype=torch.float64)
    path = replace(path, fractional=fractional.flatten(0, 1))

    def steepest(graph: GraphSettings) -> float:
        output = read(network(settings(graph=graph)), path)
        parts = [part.reshape(n_steps, -1) for part in output]
        steps = torch.cat(parts, dim=1).diff(dim=0)
        # a jump is a step that its neighbours do not share
        return float((steps[1:] - steps[:-1]).abs().amax(1).max() / steps.abs().amax(1).median())

    assert len(torch.bincount(crystal_graph(path, FADING, triplets=False).source).unique()) > 3
    assert steepest(FADING) < 0.5 < 2.0 < steepest(NEAREST)


def test_an_atom_that_crosses_the_cutoff_changes_nothing_abruptly():
    model = network(settings(graph=WITHIN, displacement=False, lattice=False))
    lattice = [[20.0, 0, 0], [0, 20.0, 0], [0, 0, 20.0]]
    energies = []
    for distance in (WITHIN.cutoff - 1e-4, WITHIN.cutoff + 1e-4):
        pair = from_pymatgen([_structure(lattice, ["Na", "Cl"], [[0, 0, 0], [distance / 20, 0, 0]])])
        energies.append(read(model, pair).energy.item())
    assert energies[0] == pytest.approx(energies[1], abs=1e-10)


def _structure(lattice: list[list[float]], species: list[str], points: list[list[float]]):
    from pymatgen.core import Structure

    return Structure(lattice, species, points)


@pytest.mark.parametrize("preset", [settings(), GemsNetSettings.fast()], ids=["small", "fast"])
def test_a_structure_is_the_same_alone_and_in_any_batch(preset):
    model = network(preset, torch.float32)
    batch = StructureBatch.cat([random_crystals(6, seed=13), known_crystals()])
    together = read(model, batch)
    mixed = torch.tensor([4, 7, 1, 10, 0, 2, 3, 5, 6, 8, 9])
    shuffled = read(model, batch[mixed])
    for row in range(len(batch)):
        alone = read(model, batch[torch.tensor([row])])
        at = int((mixed == row).nonzero())
        for other, position, atoms in (
            (together, row, batch.structure_index == row),
            (shuffled, at, batch[mixed].structure_index == at),
        ):
            part = AtomOutput(
                other.energy[[position]], other.displacement[atoms], other.lattice_action[[position]]
            )
            assert_same(alone, part, 1e-6)


def test_isolated_atoms_and_collinear_neighbours_give_finite_outputs_and_gradients():
    apart = _structure([[30.0, 0, 0], [0, 30.0, 0], [0, 0, 30.0]], ["O"], [[0, 0, 0]])
    chain = _structure([[2.0, 0, 0], [0, 30.0, 0], [0, 0, 30.0]], ["C"], [[0.1, 0.2, 0.3]])
    batch = from_pymatgen([apart, chain, *to_pymatgen(known_crystals())])
    model = network(settings(graph=WITHIN), torch.float32)
    cell, fractional = batch.cell.clone().requires_grad_(), batch.fractional.clone().requires_grad_()
    output = model(crystal_graph(batch, WITHIN, torch.float32, cell, fractional))
    total = sum((part.square().sum() for part in output), start=torch.zeros(()))
    total.backward()
    tensors = [*output, cell.grad, fractional.grad, *(weight.grad for weight in model.parameters())]
    assert all(torch.isfinite(tensor).all() for tensor in tensors)
    alone = read(model, from_pymatgen([apart]))
    assert (alone.lattice_action == torch.eye(3)).all() and (alone.displacement == 0).all()


@pytest.mark.parametrize("heads", ["energy", "displacement", "lattice"])
def test_every_weight_matters_to_each_head_alone(heads):
    chosen = {name: name == heads for name in ("energy", "displacement", "lattice")}
    model = network(settings(**chosen, tabulated=True))
    output = model(crystal_graph(random_crystals(3, seed=3), NEAREST, torch.float64))
    assert [part is not None for part in output] == list(chosen.values())
    sum(part.square().sum() for part in output if part is not None).backward()
    # the last atoms' features are read by the edges, so nothing of the trunk is idle
    idle = [name for name, weight in model.named_parameters() if weight.grad is None or not weight.grad.any()]
    assert idle == []


def test_heads_can_be_left_out_and_pairs_are_needed_by_the_lattice_head_only():
    model = network(settings(lattice=False))
    assert not model.needs_triplets and network().needs_triplets
    batch = random_crystals(3, seed=3)
    graph = crystal_graph(batch, NEAREST, torch.float64, triplets=False)
    output = model(graph)
    assert output.lattice_action is None
    energy_only = network(settings(lattice=False, displacement=False))
    assert energy_only(graph).displacement is None
    assert network(settings(energy=False))(crystal_graph(batch, NEAREST, torch.float64)).energy is None


def test_conditioning_reaches_each_structure_and_no_other():
    model = network(settings(conditioning=3))
    batch = random_crystals(3, seed=3)
    graph = crystal_graph(batch, NEAREST, torch.float64)
    given = torch.zeros(3, 3, dtype=torch.float64)
    plain = model(graph, given)
    without = network()
    without.load_state_dict({name: x for name, x in model.state_dict().items() if "conditioning" not in name})
    assert_same(plain, without(graph), 1e-12)
    given[1] = 1.0
    changed = model(graph, given).energy - plain.energy
    assert (changed[[0, 2]].abs() < 1e-12).all() and changed[1].abs() > 1e-4
    with pytest.raises(DataError, match="conditioning is"):
        model(graph)


def test_seeds_set_the_weights_and_leave_the_global_generator_alone():
    state = torch.get_rng_state()
    first, second, other = GemsNet(settings(), 1), GemsNet(settings(), 1), GemsNet(settings(), 2)
    assert torch.equal(torch.get_rng_state(), state)
    pairs = list(zip(first.parameters(), second.parameters(), other.parameters(), strict=True))
    assert all(torch.equal(mine, same) for mine, same, _ in pairs)
    assert not any(torch.equal(mine, different) for mine, _, different in pairs)


def test_half_precision_under_autocast_stays_close():
    model = network(settings(), torch.float32)
    graph = crystal_graph(random_crystals(6, seed=13), NEAREST)
    exact = model(graph)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        rough = model(graph)
    for mine, theirs in zip(rough, exact, strict=True):
        assert mine.dtype == torch.float32
        assert (mine - theirs).abs().max() < 0.05 * max(1.0, theirs.abs().max())


def test_settings_and_graphs_that_do_not_fit_are_refused():
    with pytest.raises(ConfigError, match="symmetric=true"):
        settings(graph=GraphSettings(cutoff=5.0, symmetric=False))
    with pytest.raises(ConfigError, match="gaussian or bessel"):
        settings(basis="fourier")
    graph: CrystalGraph = crystal_graph(random_crystals(1, seed=3), NEAREST, torch.float64, reverse=False)
    with pytest.raises(DataError, match="reverse=True"):
        network()(graph)


@pytest.mark.parametrize("name", ["n_blocks", "n_radial", "n_orders", "cutoff", "envelope_exponent"])
def test_sizes_have_to_be_positive(name):
    with pytest.raises(ConfigError, match=f"{name} must be .*, not 0"):
        GemsNetSettings.paper(**{name: 0})
