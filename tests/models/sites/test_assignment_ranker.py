"""The ranker of assignments: what its scores may and may not depend on."""

from __future__ import annotations

from dataclasses import replace

import torch

from gflownet_crystal.models.sites.assignment_ranker import AssignmentRanker, RankerInputs, log_probabilities


def drawn(seed: int = 0, n: int = 3, assignments: int = 4, sites: int = 5) -> RankerInputs:
    """Made-up inputs: each spec has some sites, each assignment three orbits on sites of its spec."""
    generator = torch.Generator().manual_seed(seed)

    def numbers(*shape: int) -> torch.Tensor:
        return torch.rand(*shape, generator=generator, dtype=torch.float64)

    def whole(low: int, high: int, *shape: int) -> torch.Tensor:
        return torch.randint(low, high, shape, generator=generator)

    spec = torch.arange(n).repeat_interleave(assignments)
    orbit_assignment = torch.arange(n * assignments).repeat_interleave(3)
    orbit_site = spec[orbit_assignment] * sites + whole(0, sites, len(orbit_assignment))
    fractions = numbers(n, 119)
    return RankerInputs(
        space_group=whole(1, 231, n), fractions=fractions / fractions.sum(1, keepdim=True), lattice=numbers(n, 8),
        site_spec=torch.arange(n).repeat_interleave(sites), site_element=whole(1, 119, n * sites),
        site_position=whole(0, 1731, n * sites), site_share=numbers(n * sites), site_log_share=-numbers(n * sites),
        site_distance=numbers(n * sites), spec=spec, table=numbers(n * assignments, 8),
        orbit_assignment=orbit_assignment, orbit_site=orbit_site,
    )  # fmt: skip


def ranker() -> AssignmentRanker:
    torch.manual_seed(0)
    return AssignmentRanker(width=16, embedding=4).double().eval()


@torch.no_grad()
def test_the_order_of_orbits_does_not_matter() -> None:
    model, inputs = ranker(), drawn()
    swapped = inputs.orbit_site.reshape(-1, 3).flip(1).reshape(-1)
    assert torch.allclose(model(inputs), model(replace(inputs, orbit_site=swapped)), atol=1e-12)


@torch.no_grad()
def test_a_spec_is_scored_equally_alone() -> None:
    model, inputs = ranker(), drawn()
    alone = RankerInputs(
        *(getattr(inputs, name)[:1] for name in ("space_group", "fractions", "lattice")),
        *(value[:5] for name, value in vars(inputs).items() if name.startswith("site_")),
        inputs.spec[:4], inputs.table[:4], inputs.orbit_assignment[:12], inputs.orbit_site[:12],
    )  # fmt: skip
    assert torch.allclose(model(inputs)[:4], model(alone), atol=1e-12)


@torch.no_grad()
def test_elements_lattice_and_positions_are_seen() -> None:
    model, inputs = ranker(), drawn()
    scores = model(inputs)
    for name, other in (
        ("site_element", inputs.site_element.flip(0)),
        ("site_position", inputs.site_position.flip(0)),
        ("site_distance", inputs.site_distance.flip(0)),
        ("lattice", inputs.lattice.flip(0)),
        ("table", inputs.table.flip(0)),
    ):
        assert not torch.allclose(scores, model(replace(inputs, **{name: other})), atol=1e-6), name


def test_probabilities_of_a_spec_sum_to_one() -> None:
    scores = torch.tensor([1.0, 700.0, -3.0, 5.0, 5.0], dtype=torch.float64)
    spec = torch.tensor([0, 0, 2, 3, 3])
    expected = [*torch.log_softmax(scores[:2], 0), torch.tensor(0.0), *torch.log_softmax(scores[3:], 0)]
    assert torch.allclose(log_probabilities(scores, spec, 4), torch.stack([one.double() for one in expected]))


def test_it_learns_to_tell_assignments_apart() -> None:
    model, inputs = ranker(), drawn(n=8)
    truth = torch.arange(8) * 4 + torch.tensor([0, 3, 1, 2, 2, 0, 1, 3])
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    for _ in range(150):
        optimizer.zero_grad()
        loss = -log_probabilities(model(inputs), inputs.spec, 8)[truth].mean()
        loss.backward()
        optimizer.step()
    assert loss < 0.05
