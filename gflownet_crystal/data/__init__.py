"""Readers of crystal data, conversion to conventional cells, prepared tables and splits by formula."""

from __future__ import annotations
