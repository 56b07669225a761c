"""Samples of a trained sampler, of its whole space or of a part."""
