"""Sample from a trained run: ``python scripts/sample.py run=DIR n=10000 out=samples.parquet``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
