"""Train the network of a generator: ``python scripts/train_generator.py generator=wyckoff data=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
