"""The command line: one verb a module, one entry point for all of them."""

from __future__ import annotations
