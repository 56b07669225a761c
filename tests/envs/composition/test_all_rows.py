"""Masks computed for all rows, as on a GPU, against those of rows that need them."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.envs.composition.masks import LookAheadMasks
from gflownet_crystal.envs.composition.rules import CompositionRules
from tests.envs.composition.test_stage import SPACES
from tests.envs.walks import going, group_context, stage_with, walk_forward
from tests.models.host_guard import as_on_a_gpu


@pytest.mark.parametrize(
    "name", ["mixed valence", "metallic", "two required", "minimum elements", "tight budget"]
)
def test_masks_computed_for_all_rows_as_on_a_gpu_are_those_of_a_cpu(name: str) -> None:
    groups = (2, 62, 166, 225)
    stage = stage_with(CompositionRules(**SPACES[name]), LookAheadMasks, groups)
    states = [
        (group, torch.tensor(sorted({counts for edge in walk_forward(stage, group)[1] for counts in edge})))
        for group in groups
        if stage.fillable[group]
    ]
    assert states
    for group, counts in states:
        context, state = group_context(group, len(counts)), going(counts)
        started = counts.any(dim=1)
        forward = stage.forward_support(state, context)
        backward = stage.backward_support(going(counts[started]), context[started])
        with as_on_a_gpu():
            assert torch.equal(stage.forward_support(state, context), forward)
            assert torch.equal(stage.backward_support(going(counts[started]), context[started]), backward)
