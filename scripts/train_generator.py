"""Train the network of a generator: ``python scripts/train_generator.py generator=wyckoff data=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
