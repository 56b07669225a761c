"""Relaxations, and all that is computed by a potential."""
