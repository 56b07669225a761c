"""Energy models on atoms: trained networks, universal potentials and ASE calculators."""
