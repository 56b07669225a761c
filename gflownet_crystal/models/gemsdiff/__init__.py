"""GemsDiff: joint diffusion of positions and lattice."""
