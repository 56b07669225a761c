"""Draw crystals, place their atoms, relax them with a shipped energy model, and write them as extended XYZ."""

import gflownet_crystal as gfc

crystals = gfc.load("prior").sample(3, elements=["Mg", "Si", "O"]).place()
crystals.relax("alignn", steps=50)
print(crystals)
crystals.save("relaxed.extxyz")
