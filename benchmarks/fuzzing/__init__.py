"""Parts of ``python -m benchmarks.fuzz``: valid inputs, how they are damaged, and what must not come of it."""
