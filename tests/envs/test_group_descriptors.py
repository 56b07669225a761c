"""Descriptors of space groups: equal for mirror images, different for other positions, nearest for related groups."""

from __future__ import annotations

import torch

from gflownet_crystal.crystallography.space_groups import ENANTIOMORPHIC_PAIRS
from gflownet_crystal.crystallography.wyckoff import wyckoff_positions
from gflownet_crystal.envs.crystal import Crystal
from gflownet_crystal.envs.group_descriptors import group_descriptors
from gflownet_crystal.envs.space_group import SpaceGroupStage
from gflownet_crystal.policies.base import MixtureSettings, build_heads, stage_shapes


def test_mirror_images_have_equal_descriptors() -> None:
    described = group_descriptors()
    for first, second in ENANTIOMORPHIC_PAIRS:
        assert torch.equal(described[first - 1], described[second - 1])


def test_groups_of_other_positions_differ() -> None:
    described = group_descriptors()
    for group in range(2, 231):
        positions, before = (
            sorted((one.multiplicity, one.degrees_of_freedom > 0) for one in wyckoff_positions(number))
            for number in (group, group - 1)
        )
        assert positions == before or not torch.equal(described[group - 1], described[group - 2])


def test_all_rows_are_of_a_length_of_about_one() -> None:
    lengths = group_descriptors().norm(dim=1)
    assert lengths.min() > 0.5 and lengths.max() < 1.1


def test_they_describe_the_columns_of_the_group_in_the_summary() -> None:
    env = Crystal(elements=["Na", "Cl"], space_groups=[221, 225])
    stage = env.stages[0]
    assert isinstance(stage, SpaceGroupStage)
    state = stage.terminal(torch.tensor([221, 225]))
    summary = stage.summary(state)
    assert torch.equal(summary @ stage.summary_descriptors(), group_descriptors()[[220, 224]])
    shape = stage_shapes(env, build_heads(env, MixtureSettings(), backward=False))[1]
    assert shape.describe is not None
    described, _ = shape.describe()
    own = env.stages[1].layout
    assert own is not None
    n_own = own.describe().features.shape[1]
    assert torch.equal(described[own.n_features :, n_own:], stage.summary_descriptors())
