"""Judge structures: ``python scripts/evaluate.py structures=DIR reference=mp20.parquet out=OUT``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
