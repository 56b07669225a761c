"""Pages without their figures, for tests of the text."""

from __future__ import annotations

import pytest

from gflownet_crystal.report import drawings


@pytest.fixture
def unpainted(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Figures are made, but their PNG files and their places on the page stay empty."""
    monkeypatch.setattr(
        drawings, "save_png", lambda figure, path: (path.parent.mkdir(exist_ok=True), path.touch())
    )
    monkeypatch.setattr(drawings, "to_svg", lambda figure, name, alt: "<svg></svg>")
    return monkeypatch
