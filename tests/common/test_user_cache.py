"""Where caches of a user are, on each platform."""

from __future__ import annotations

from pathlib import Path

import pytest

from gflownet_crystal.common.user_cache import user_cache


@pytest.mark.parametrize(
    ("platform", "variables", "expected"),
    [
        ("linux", {"HOME": "/h/x"}, "/h/x/.cache/gflownet_crystal"),
        ("linux", {"HOME": "/h/x", "XDG_CACHE_HOME": "/big"}, "/big/gflownet_crystal"),
        ("linux", {"HOME": "/h/x", "XDG_CACHE_HOME": "big"}, "/h/x/.cache/gflownet_crystal"),
        ("linux", {"HOME": "/h/x", "XDG_CACHE_HOME": ""}, "/h/x/.cache/gflownet_crystal"),
        ("darwin", {"HOME": "/u/x"}, "/u/x/Library/Caches/gflownet_crystal"),
        ("win32", {"LOCALAPPDATA": "/l"}, "/l/gflownet_crystal/Cache"),
        ("win32", {"USERPROFILE": "/u"}, "/u/AppData/Local/gflownet_crystal/Cache"),
    ],
)
def test_where_each_platform_keeps_caches(platform: str, variables: dict[str, str], expected: str) -> None:
    assert user_cache(variables, platform) == Path(expected)
