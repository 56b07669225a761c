"""The command line: one verb a module, one door for all of them."""

from __future__ import annotations
