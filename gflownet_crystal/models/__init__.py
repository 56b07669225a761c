"""Networks on atoms: periodic graphs as their input, and energies, displacements and lattice actions as output."""

from __future__ import annotations
