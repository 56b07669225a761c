"""The network behind `proxy=mlp`: energies of specs, without atoms."""
