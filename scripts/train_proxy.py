"""Train a proxy: ``python scripts/train_proxy.py proxy=mlp data=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
