"""GemsNet: an equivariant network that reads and predicts lattice deformations."""
