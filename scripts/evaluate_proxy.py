"""Score a proxy on labelled data: ``python scripts/evaluate_proxy.py proxy=mlp data=FILE``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
