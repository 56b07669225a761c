"""check_policy passes the shipped policies and finds what a network can get wrong."""

from __future__ import annotations

from functools import partial

import pytest
import torch
from torch import nn

from gflownet_crystal.common.errors import ContractError
from gflownet_crystal.policies import MLPPolicy, Policy, UniformPolicy
from gflownet_crystal.testing import check_policy


@pytest.mark.parametrize(
    "policy", [MLPPolicy, UniformPolicy, partial(MLPPolicy, n_layers=1, n_hidden=8, activation="silu")]
)
def test_shipped_policies_pass(policy):
    assert check_policy(policy) == []


class Small(MLPPolicy):
    def __init__(self, shapes):
        super().__init__(shapes, n_layers=1, n_hidden=8)


class WrongShape(Small):
    def forward(self, stage, features):
        return super().forward(stage, features)[:, 1:]


class WrongType(Small):
    def forward(self, stage, features):
        return super().forward(stage, features).double()


class NotFinite(Small):
    def forward(self, stage, features):
        return super().forward(stage, features) / 0.0


class Mutating(Small):
    def forward(self, stage, features):
        output = super().forward(stage, features.clone())
        features.zero_()
        return output


class BatchNormalised(Small):
    def forward(self, stage, features):
        output = super().forward(stage, features)
        return output - output.mean(dim=0)


class Dropping(Small):
    def forward(self, stage, features):
        return nn.functional.dropout(super().forward(stage, features), 0.5)


class Unseeded(Small):
    def __init__(self, shapes):
        super().__init__(shapes)
        self.shift = nn.Parameter(torch.rand(1))

    def forward(self, stage, features):
        return super().forward(stage, features) + self.shift


class Unused(Small):
    def __init__(self, shapes):
        super().__init__(shapes)
        self.spare = nn.Parameter(torch.zeros(3))


class Detached(Small):
    def forward(self, stage, features):
        return super().forward(stage, features).detach()


class Hidden(Small):
    """Keeps a weight where state_dict does not see it."""

    made_so_far = 0

    def __init__(self, shapes):
        super().__init__(shapes)
        Hidden.made_so_far += 1
        self.shift = torch.tensor(float(Hidden.made_so_far))

    def forward(self, stage, features):
        return super().forward(stage, features) + self.shift


class NoPolicy(nn.Module):
    def __init__(self, shapes):
        super().__init__()


PLANTED = {
    WrongShape: "wrong shape",
    WrongType: "not return float32",
    NotFinite: "not finite",
    Mutating: "changes its input",
    BatchNormalised: "depend on the rest of the batch",
    Dropping: "not deterministic",
    Unseeded: "different weights.*global random state",
    Unused: "no gradient reaches some weights: spare",
    Detached: "no gradient reaches the weights",
    Hidden: "state_dict does not hold",
    NoPolicy: "does not derive",
}


@pytest.mark.parametrize("planted", PLANTED, ids=lambda planted: planted.__name__)
def test_each_planted_fault_is_named(planted):
    assert issubclass(planted, (Policy, NoPolicy))
    with pytest.raises(ContractError, match=PLANTED[planted]):
        check_policy(planted)
