"""Settings given in Python mean what they say: read back by the reader of command lines."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.api.words import setting_texts
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.config.compose import parse_setting

SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(2**31), 2**31)
    | st.floats(allow_nan=False)
    | st.text(st.characters(codec="ascii", categories=("L", "N", "P", "S", "Zs")), max_size=12)
)


@given(SCALARS | st.lists(SCALARS, max_size=4))
def test_values_are_read_as_they_were_given(value):
    (text,) = setting_texts({"trainer.key": value})
    setting = parse_setting(text)
    assert setting.key == "trainer.key"
    assert setting.value == value
    assert type(setting.value) is type(value)


def test_other_kinds_of_values(tmp_path):
    texts = setting_texts(
        {"a": Path("runs/one"), "b": np.int64(3), "c": (1, 2), "d": {"Li": [1, 2]}, "e": np.array([0.5])}
    )
    values = [parse_setting(text).value for text in texts]
    assert values == ["runs/one", 3, [1, 2], {"Li": [1, 2]}, [0.5]]


@pytest.mark.parametrize("settings", [{"a=b": 1}, {3: 1}, {"a": object()}])
def test_what_has_no_text_is_refused(settings):
    with pytest.raises(ConfigError):
        setting_texts(settings)
