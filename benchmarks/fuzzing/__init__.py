"""Parts of ``python -m benchmarks.fuzz``: valid inputs, damages, and forbidden outcomes."""
