"""The periodic table of the networks against pymatgen's."""

from __future__ import annotations

import torch
from pymatgen.core import Element

from gflownet_crystal.models.layers.elements import N_ELEMENT_FEATURES, element_features
from gflownet_crystal.structures.element_properties import periods_and_groups


def test_periods_and_groups_are_those_of_pymatgen():
    period, group = periods_and_groups()
    f_electrons = (14 * element_features()[:, 25]).round().int()
    for number in range(1, 119):
        element = Element.from_Z(number)
        assert (period[number], group[number]) == (element.row, element.group), element
        assert (f_electrons[number] > 0) == (element.block == "f"), element
    # the 14 elements of each f block, in order
    assert f_electrons[57:71].tolist() == f_electrons[89:103].tolist() == list(range(1, 15))


def test_every_element_has_features_of_its_own():
    features = element_features()
    assert features.shape == (119, N_ELEMENT_FEATURES)
    assert features.dtype == torch.float32
    assert bool(features.isfinite().all())
    assert not bool(features[0].any())
    assert len(features[1:].unique(dim=0)) == 118
    # one column each for the period and for the group
    assert bool((features[1:, :7].sum(1) == 1).all())
    assert bool((features[1:, 7:25].sum(1) == 1).all())
