"""Measures of samplers and of what they sample: exact answers, independent estimates, distances between them."""
