"""Structures by diffusion: exact in mode spec, of the composition in mode paper, and deterministic."""

from __future__ import annotations

import pytest
import torch
from pymatgen.core import Lattice, Structure

from gflownet_crystal.common.errors import ConfigError, WeightsError
from gflownet_crystal.crystallography.lattice import matrix_to_parameters, parameters_to_matrix
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.generators.gemsdiff import GemsDiff
from gflownet_crystal.generators.placing.denoised import denoised
from gflownet_crystal.generators.placing.orbit_tables import first_position, orbit_tables
from gflownet_crystal.models.denoiser import Denoiser
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsdiff.learned_cells import learned_basis
from gflownet_crystal.models.gemsdiff.sampling import Sites, site_parameters
from gflownet_crystal.structures.convert import from_pymatgen
from gflownet_crystal.structures.periodic_pairs import usable
from gflownet_crystal.structures.spec import CrystalSpec
from gflownet_crystal.structures.symmetry import symmetry_error
from tests.models.host_guard import HostGuard
from tests.models.small_gemsdiff import small_model

# group, counts by atomic number, lengths, angles
SPECS = (
    (2, {3: 2, 8: 4}, (5.1, 5.9, 6.7), (85.0, 97.0, 103.0)),
    (14, {20: 4, 16: 4}, (6.0, 7.0, 8.0), (90.0, 105.0, 90.0)),
    (62, {26: 4, 8: 8, 15: 4}, (10.0, 6.0, 4.8), (90.0, 90.0, 90.0)),
    (139, {56: 2, 26: 4, 33: 4}, (3.9, 3.9, 13.0), (90.0, 90.0, 90.0)),
    (154, {14: 3, 8: 6}, (4.9, 4.9, 5.4), (90.0, 90.0, 120.0)),
    (166, {13: 6, 8: 9, 57: 3}, (5.4, 5.4, 13.1), (90.0, 90.0, 120.0)),
    (186, {30: 2, 16: 2}, (3.8, 3.8, 6.2), (90.0, 90.0, 120.0)),
    (225, {11: 4, 17: 4}, (5.6, 5.6, 5.6), (90.0, 90.0, 90.0)),
)


def specs() -> CrystalSpec:
    composition = torch.zeros(len(SPECS), 119, dtype=torch.int64)
    for row, (_, counts, _, _) in enumerate(SPECS):
        composition[row, list(counts)] = torch.tensor(list(counts.values()))
    lengths, angles = (torch.tensor([spec[i] for spec in SPECS]).double() for i in (2, 3))
    return CrystalSpec(torch.tensor([spec[0] for spec in SPECS]), composition, lengths, angles)


def generator(mode: str = "spec", recipe: str = "corrected", **options: object) -> GemsDiff:
    return GemsDiff(small_model(recipe), mode=mode, steps=4, ranking=None, **options)


@pytest.mark.parametrize("recipe", ["corrected", "paper"])
def test_spec_mode_is_exact(recipe: str) -> None:
    wanted = specs()
    made = generator(recipe=recipe, assignments=3, tries=2).generate(wanted, seed=1)
    assert made.rows.tolist() == list(range(len(SPECS)))
    assert torch.equal(made.structures.composition, wanted.composition)
    assert torch.equal(made.structures.space_group, wanted.space_group)
    lengths, angles = matrix_to_parameters(made.structures.cell)
    torch.testing.assert_close(lengths, wanted.lengths, atol=1e-9, rtol=0)
    torch.testing.assert_close(angles, wanted.angles, atol=1e-9, rtol=0)
    assert symmetry_error(made.structures).max() < 1e-9
    assert usable(made.structures, 0.5).all()


# group, an atom of each site: rock salt, Al2O3, ThCr2Si2, a C-centred, an A-centred and a primitive cell
KNOWN = (
    (225, {"Na": (0, 0, 0), "Cl": (0.5, 0.5, 0.5)}, (5.6, 5.6, 5.6, 90, 90, 90)),
    (167, {"Al": (0, 0, 0.352), "O": (0.306, 0, 0.25)}, (4.76, 4.76, 12.99, 90, 90, 120)),
    (139, {"Th": (0, 0, 0), "Cr": (0, 0.5, 0.25), "Si": (0, 0, 0.37)}, (4.0, 4.0, 10.6, 90, 90, 90)),
    (12, {"Mn": (0, 0, 0), "O": (0.2, 0, 0.4)}, (5.7, 2.9, 5.9, 90, 110, 90)),
    (38, {"Ba": (0, 0, 0), "Ti": (0.5, 0, 0.51), "O": (0, 0, 0.49)}, (4.0, 5.7, 5.7, 90, 90, 90)),
    (62, {"Fe": (0.1, 0.25, 0.4), "S": (0.4, 0.25, 0.1)}, (5.0, 3.4, 5.8, 90, 90, 90)),
)


def test_paper_mode_takes_the_atoms_of_primitive_cells() -> None:
    conventional = [
        Structure.from_spacegroup(group, Lattice.from_parameters(*cell), list(sites), list(sites.values()))
        for group, sites, cell in KNOWN
    ]
    primitive = from_pymatgen([crystal.get_primitive_structure() for crystal in conventional])
    wanted = CrystalSpec(
        torch.tensor([group for group, _, _ in KNOWN]),
        from_pymatgen(conventional).composition,
        torch.tensor([cell[:3] for _, _, cell in KNOWN]).double(),
        torch.tensor([cell[3:] for _, _, cell in KNOWN]).double(),
    )
    assert (primitive.n_atoms < wanted.n_atoms).sum() == 5
    made = generator("paper").generate(wanted).structures
    assert torch.equal(made.composition, primitive.composition)


def test_counts_that_no_primitive_cell_has_stay() -> None:
    wanted = specs()
    wanted.composition[7, 11] = 3
    made = generator("paper").generate(wanted).structures
    assert made.composition[7, [11, 17]].tolist() == [3, 4]


def test_paper_mode_denoises_as_often_as_it_is_asked_to() -> None:
    wanted, weights = specs(), "denoiser_gemsnet"
    expected = generator("paper").generate(wanted).structures
    denoiser = Denoiser.from_weights(weights)
    for denoise in (weights, [weights, weights]):
        made = generator("paper", denoise=denoise).generate(wanted).structures
        before, expected = expected, denoised(expected, denoiser, 0.5)
        assert ((expected.cell - before.cell).abs().amax((1, 2)) > 1e-3).sum() > len(SPECS) // 2
        assert torch.equal(made.composition, before.composition)
        torch.testing.assert_close(made.cell, expected.cell, atol=1e-3, rtol=0)


def test_paper_mode_has_a_lattice_of_its_own() -> None:
    wanted = specs()
    made = generator("paper").generate(wanted)
    assert made.rows.tolist() == list(range(len(SPECS)))
    assert (made.structures.space_group == 0).all()
    lengths, _ = matrix_to_parameters(made.structures.cell)
    assert ((lengths - wanted.lengths).abs().amax(1) > 1e-3).all()
    assert made.structures.fractional.isfinite().all()


@pytest.mark.parametrize("mode", ["spec", "paper"])
def test_draws_depend_on_spec_and_seed_only(mode: str) -> None:
    wanted, chosen = specs(), torch.tensor([4, 1])
    maker = generator(mode, atoms=40)
    whole, again = maker.generate(wanted, 3), maker.generate(wanted, 3)
    assert torch.equal(whole.structures.fractional, again.structures.fractional)
    part = maker.generate(wanted[chosen], 3).structures
    expected = whole.structures[chosen]
    difference = part.fractional - expected.fractional
    assert (difference - difference.round()).abs().max() < 1e-3
    torch.testing.assert_close(part.cell, expected.cell, atol=1e-3, rtol=0)
    other = maker.generate(wanted[chosen], 4).structures
    assert not torch.allclose(part.fractional, other.fractional)


def sites() -> tuple[Sites, AtomTable, torch.Tensor, torch.Tensor]:
    """One orbit of a position with parameters in each of four groups, cells, and the rotations of the atoms."""
    groups = torch.tensor([14, 139, 154, 166])
    rows = torch.tensor([spec[0] for spec in SPECS])
    chosen = torch.stack([(rows == group).nonzero()[0, 0] for group in groups])
    cell = parameters_to_matrix(specs().lengths[chosen], specs().angles[chosen])
    free = [
        next(i for i, p in enumerate(wyckoff_positions(g)) if 0 < p.degrees_of_freedom < 3 or g == 14)
        for g in groups.tolist()
    ]
    position = torch.tensor([first_position(g) + i for g, i in zip(groups.tolist(), free, strict=True)])
    tables = orbit_tables()
    orbit = torch.repeat_interleave(tables.multiplicity[position])
    operation = torch.cat(
        [torch.arange(int(tables.multiplicity[p])) + tables.start[p] for p in position.tolist()]
    )
    rotation, first = tables.rotation[operation], tables.rotation[tables.start[position]]
    made = Sites.of(
        (cell, learned_basis(cell) @ cell),
        torch.arange(4),
        orbit,
        (rotation, tables.translation[operation]),
        first,
    )
    table = AtomTable.of(torch.full_like(orbit, 8), orbit, 4, 8)
    return made, table, cell, rotation


def test_changes_of_parameters_are_least_squares_in_the_metric() -> None:
    made, _, cell, rotation = sites()
    wanted = torch.randn(len(made.orbit), 3, generator=torch.Generator().manual_seed(1)).double()
    found = made.changes(wanted)
    for orbit in range(4):
        atoms = made.orbit == orbit
        # all atoms of the orbit at once, in A
        maps = (rotation[atoms].mT @ cell[orbit]).mT.reshape(-1, 3)
        goal = (wanted[atoms] @ made.cell[orbit]).reshape(-1)
        solved = torch.linalg.lstsq(maps, goal[:, None], driver="gelsd").solution[:, 0]
        torch.testing.assert_close(found[orbit], solved, atol=1e-9, rtol=1e-9)


def test_noise_moves_atoms_equally_far_in_all_free_directions() -> None:
    made, _, _, _ = sites()
    for orbit in range(4):
        atom = int((made.orbit == orbit).nonzero()[0, 0])
        to_angstrom = made.spread[orbit] @ made.move[atom] @ made.cell[orbit]
        covariance = to_angstrom.mT @ to_angstrom
        size = made.cell[orbit].det().abs() ** (2 / 3)
        # a projector on the free directions
        torch.testing.assert_close(covariance @ covariance, size * covariance, rtol=1e-8, atol=1e-8)
        free = int((made.spread[orbit] != 0).any(0).sum())
        torch.testing.assert_close(covariance.trace(), size * free)


def test_coordinates_are_those_of_the_conventional_cell() -> None:
    made, _, cell, rotation = sites()
    parameters = torch.rand(4, 3, generator=torch.Generator().manual_seed(2)).double()
    shift = torch.randn(4, 3, generator=torch.Generator().manual_seed(3)).double()
    difference = made.coordinates(parameters + shift) - made.coordinates(parameters)
    expected = (rotation @ shift[made.orbit][:, :, None])[:, :, 0]
    own = made.orbit
    torch.testing.assert_close(
        (difference[:, None] @ made.cell[own])[:, 0], (expected[:, None] @ cell[own])[:, 0], atol=1e-9, rtol=0
    )


class FixedNoise:
    def __init__(self, n: int) -> None:
        self.drawn = torch.randn(n, 3, generator=torch.Generator().manual_seed(4)).double()

    def positions(self, step: int) -> torch.Tensor:
        return self.drawn

    def lattices(self, step: int) -> torch.Tensor:
        raise AssertionError("the lattice is held")


def test_sampling_on_sites_never_asks_the_host() -> None:
    made, table, _, _ = sites()
    start = torch.rand(4, 3, generator=torch.Generator().manual_seed(5)).double()
    model = small_model()
    with HostGuard():
        found = site_parameters(model, table, made, start, FixedNoise(4), 3)
    assert (found >= 0.0).all() and (found < 1.0).all()
    assert not torch.allclose(found, start)


def test_options_are_checked() -> None:
    for wrong in (
        {"mode": "other"},
        {"tries": 0},
        {"steps": 0},
        {"min_ratio": -1.0},
        {"denoise": "denoiser_gemsnet"},
    ):
        with pytest.raises(ConfigError, match="generator"):
            GemsDiff(**wrong)  # type: ignore[arg-type]
    with pytest.raises(WeightsError, match="nowhere"):
        GemsDiff("nowhere")
