"""Draw crystals, place their atoms, relax them with an energy model that is shipped, and write CIFs."""

import gflownet_crystal as gfc

crystals = gfc.load("prior").sample(3, elements=["Mg", "Si", "O"]).place()
crystals.relax("alignn", steps=50)
print(crystals)
crystals.save("relaxed.extxyz")
