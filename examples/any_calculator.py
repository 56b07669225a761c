"""Judge with any ASE calculator, here EMT: first its energies of the elements, once, then formation energies."""

import sys

from ase.build import bulk
from ase.io import write

from gflownet_crystal.cli.main import main

CALCULATOR = "model._target_=ase.calculators.emt.EMT"

alloy = bulk("Cu", cubic=True)
alloy.symbols[0] = "Au"
write("alloy.cif", alloy)
if status := main(["references", CALCULATOR, "elements=[Cu,Au]", "out=emt.json", "overwrite=true"]):
    raise SystemExit(status)
words = ["structures=alloy.cif", CALCULATOR, "model.references=emt.json", "out=alloy", *sys.argv[1:]]
raise SystemExit(main(["relax", *words]))
