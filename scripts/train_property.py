"""Train a property of specs: ``python scripts/train_property.py data=FILE property=band_gap unit=eV``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
