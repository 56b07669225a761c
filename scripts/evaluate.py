"""Judge structures: ``python scripts/evaluate.py structures=DIR reference=mp20.parquet out=OUT``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
