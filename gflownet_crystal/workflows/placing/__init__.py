"""Atoms for specs."""
