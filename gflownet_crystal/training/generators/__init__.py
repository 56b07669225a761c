"""Training of generators: site flows, assignment rankers, diffusion and Langevin models."""
