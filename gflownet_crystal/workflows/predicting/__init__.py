"""Structures of formulas, and variants of crystals."""
