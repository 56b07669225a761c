"""Relaxation of cells and atoms with any energy model, many crystals at a time, none of which can disturb another."""

from __future__ import annotations
