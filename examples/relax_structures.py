"""Relax a structure with a shipped energy model; with the extra ``potentials`` also with model=sevenn:7net-l3i5."""

import sys

from pymatgen.core import Lattice, Structure

from gflownet_crystal.cli.main import main

rutile = Structure.from_spacegroup(
    136, Lattice.tetragonal(4.7, 3.0), ["Ti", "O"], [[0, 0, 0], [0.305, 0.305, 0]]
)
rutile.to(filename="rutile.cif")
raise SystemExit(main(["relax", "structures=rutile.cif", "model=alignn", "out=relaxed", *sys.argv[1:]]))
