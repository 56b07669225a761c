"""Sections of the prior in the config of a run."""

from __future__ import annotations

from typing import Any

import pytest
from omegaconf import OmegaConf

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.starting import prior_section


@pytest.mark.parametrize("stored", [3, "prior", [1, 2], True])
def test_a_stored_prior_that_is_no_section_is_refused(stored: Any) -> None:
    with pytest.raises(ConfigError, match="prior"):
        prior_section(OmegaConf.create({"prior": stored}))


@pytest.mark.parametrize("stored", [{}, {"prior": None}])
def test_a_run_may_have_no_prior(stored: dict[str, Any]) -> None:
    assert prior_section(OmegaConf.create(stored)) is None
