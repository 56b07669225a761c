"""Measure generated structures against known ones: shares that are unique, novel, and have the group of their file."""

from pathlib import Path

from pymatgen.core import Lattice, Structure

from gflownet_crystal.cli.main import main

SETS = {"made": [("Na", "Cl"), ("Na", "Cl"), ("K", "Br")], "known": [("Na", "Cl"), ("Li", "F")]}

for folder, pairs in SETS.items():
    Path(folder).mkdir(exist_ok=True)
    for number, pair in enumerate(pairs):
        cell, places = Lattice.cubic(5.6), [[0, 0, 0], [0.5, 0.5, 0.5]]
        Structure.from_spacegroup("Fm-3m", cell, pair, places).to(filename=f"{folder}/{number}.cif")

words = ["structures=made", "reference=known", "metrics=[space_groups,uniqueness,novelty]", "out=compared"]
raise SystemExit(main(["evaluate", *words]))
