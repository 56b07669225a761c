"""Training of energy networks and denoisers on atoms."""
