"""Printed settings come back from a shell and from Hydra's grammar as they were."""

from __future__ import annotations

import shlex
import subprocess

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gflownet_crystal.common.commands import setting_word
from gflownet_crystal.config.compose import parse_setting

NAMES = ["runs/a_b-0", "h2[/x]", "a b", "it's", "null", "True", "12", "1e3", "a\\", "a\\'b", "${oc.env:HOME}", "$HOME",
         "a,b", "{a}", "a=b", "é ü", "x$(ls)", "#a", "(a)", "a*", '"q"', "~", "/tmp/x"]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_shell_and_the_command_line_read_the_name(name: str) -> None:
    word = setting_word("run.dir", name)
    shell = subprocess.run(["/bin/sh", "-c", f"printf %s {word}"], capture_output=True, text=True, check=True)
    setting = parse_setting(shell.stdout)
    assert (setting.key, setting.value) == ("run.dir", name)


@given(
    st.text(
        st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]), min_size=1, max_size=20
    )
)
def test_any_text_on_one_line_stays_one_text(name: str) -> None:
    (word,) = shlex.split(setting_word("out", name))
    setting = parse_setting(word)
    assert (setting.key, setting.value) == ("out", name)


def test_plain_names_stay_plain() -> None:
    assert setting_word("run", "runs/crystal_mlp_0") == "run=runs/crystal_mlp_0"
