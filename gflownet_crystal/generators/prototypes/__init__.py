"""Prototypes of known crystals, and the elements that crystals of each have."""

from __future__ import annotations
