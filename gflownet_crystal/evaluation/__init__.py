"""Measures of samplers and of their samples: exact answers, independent estimates, distances between them."""
