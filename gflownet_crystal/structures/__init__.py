"""Specs of crystals, structures with atoms, and their readers and writers."""

from __future__ import annotations
