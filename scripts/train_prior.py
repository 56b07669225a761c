"""Train a prior of known crystals: ``python scripts/train_prior.py data=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
