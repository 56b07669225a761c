"""Commands that are printed, to be pasted into a shell as they stand."""

from __future__ import annotations

import re
import shlex

# texts that neither a shell nor Hydra's grammar of overrides reads as something else
_PLAIN = re.compile(r"[./~]*[A-Za-z_][\w./~-]*", re.ASCII)
_VALUES = frozenset({"null", "true", "false", "nan", "inf", "yes", "no", "on", "off"})


def setting_word(key: str, value: object) -> str:
    """A ``key=value`` for a shell; names with spaces, brackets or quotes stay one text.

    Args:
        key: key of the configuration.
        value: a text or path.
    """
    text = str(value)
    if _PLAIN.fullmatch(text) and text.lower() not in _VALUES:
        return f"{key}={text}"
    # a backslash before a quote belongs to Hydra's escapes
    escaped = re.sub(r"(\\*)('|$)", lambda m: m[1] * 2 + ("\\'" if m[2] else ""), text)
    return shlex.quote(f"{key}='{escaped}'")
