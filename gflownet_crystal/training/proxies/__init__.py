"""Training of spec proxies: ensembles, hulls, corrections for placed atoms."""
