"""Hooks of the site: names that docstrings mark with a role, as :class:`~package.Name`, are shown as code."""

from __future__ import annotations

import re
from typing import Any

_ROLE = re.compile(r":(?:mod|class|func|meth|attr|data|exc):<code>(~?)([^<]*)</code>")


def on_page_content(html: str, **_: Any) -> str:
    """The page without the names of roles; a name with a tilde is shortened to its last part."""
    return _ROLE.sub(lambda found: f"<code>{_shown(found[1], found[2])}</code>", html)


def _shown(tilde: str, name: str) -> str:
    return name.rpartition(".")[2] if tilde else name
