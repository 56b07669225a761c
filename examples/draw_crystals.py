"""Draw crystals of four elements from the shipped prior, with their atoms, in seconds: no training, no data."""

import gflownet_crystal as gfc

run = gfc.load("prior")
samples = run.sample(20, elements=["Li", "Fe", "P", "O"])
print(samples)

crystals = samples.place()
for structure in crystals.to_pymatgen()[:3]:
    print(structure.composition.reduced_formula, structure.get_space_group_info())
crystals.save("drawn.extxyz")
