"""Scores for Langevin dynamics of positions and lattice."""
