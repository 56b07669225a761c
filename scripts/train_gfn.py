"""Train a GFlowNet: ``python scripts/train_gfn.py env=crystal proxy=mlp``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
