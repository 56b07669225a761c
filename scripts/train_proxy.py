"""Train a proxy: ``python scripts/train_proxy.py proxy=mlp data=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
