"""Training of the prior policy on known crystals."""
