"""Segment sums and means against loops."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gflownet_crystal.models.layers.scatter import segment_mean, segment_sum


@settings(max_examples=30, deadline=None)
@given(
    st.lists(st.integers(0, 5), max_size=40), st.integers(0, 2**31 - 1), st.sampled_from([(), (3,), (2, 4)])
)
def test_sums_and_means_are_those_of_a_loop(segments, seed, shape):
    values = np.random.default_rng(seed).normal(size=(len(segments), *shape))
    index = torch.tensor(segments, dtype=torch.int64)
    sums, means = np.zeros((6, *shape)), np.zeros((6, *shape))
    for segment in range(6):
        rows = [value for value, owner in zip(values, segments, strict=True) if owner == segment]
        if rows:
            sums[segment], means[segment] = np.sum(rows, axis=0), np.mean(rows, axis=0)
    given_values = torch.from_numpy(values)
    torch.testing.assert_close(segment_sum(given_values, index, 6), torch.from_numpy(sums))
    torch.testing.assert_close(segment_mean(given_values, index, 6), torch.from_numpy(means))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision_is_summed_in_single(dtype):
    """In bfloat16 a running sum of ones stops at 256."""
    ones = torch.ones(3000, 2, dtype=dtype)
    total = segment_sum(ones, torch.zeros(3000, dtype=torch.int64), 1)
    assert total.dtype == torch.float32
    assert total.tolist() == [[3000.0, 3000.0]]
    assert segment_mean(ones, torch.zeros(3000, dtype=torch.int64), 1).tolist() == [[1.0, 1.0]]


def test_gradients_are_numerical_ones():
    index = torch.tensor([2, 0, 2, 1, 2])
    values = torch.randn(5, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    values.requires_grad_()
    assert torch.autograd.gradcheck(lambda x: segment_sum(x, index, 4), values)
    assert torch.autograd.gradcheck(lambda x: segment_mean(x, index, 4), values)
