"""Train a property of specs: ``python scripts/train_property.py data=FILE property=band_gap unit=eV``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
