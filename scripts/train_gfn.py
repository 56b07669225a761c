"""Train a GFlowNet: ``python scripts/train_gfn.py env=crystal proxy=mlp``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
