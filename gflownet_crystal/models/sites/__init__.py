"""Networks on Wyckoff sites: flow of the free parameters, ranking of assignments."""
