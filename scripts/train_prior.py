"""Train a prior of known crystals: ``python scripts/train_prior.py data=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
