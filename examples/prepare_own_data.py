"""Turn structures of your own into the table that trainings read; CIF, POSCAR, JSON, XYZ and CSV may be mixed."""

from pathlib import Path

import pandas as pd
from pymatgen.core import Lattice, Structure

from gflownet_crystal.cli.main import main

folder = Path("own")
folder.mkdir(exist_ok=True)
salt = Structure.from_spacegroup("Fm-3m", Lattice.cubic(5.64), ["Na", "Cl"], [[0, 0, 0], [0.5, 0.5, 0.5]])
salt.to(filename=str(folder / "salt.cif"))
salt.get_primitive_structure().to(filename=str(folder / "POSCAR_salt"), fmt="poscar")

if status := main(["prepare_data", "source=own", "out=prepared.parquet", "overwrite=true"]):
    raise SystemExit(status)
print(pd.read_parquet("prepared.parquet")[["material_id", "space_group", "formula", "a"]])
