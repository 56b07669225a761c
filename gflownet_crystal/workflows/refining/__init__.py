"""Learning from samples in rounds."""
