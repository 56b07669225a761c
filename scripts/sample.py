"""Sample from a trained run: ``python scripts/sample.py run=DIR n=10000 out=samples.parquet``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
