"""Training of samplers."""
