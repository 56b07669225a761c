"""Train a network to make crystals from noise: ``python scripts/train_denoiser.py model=gemsnet data=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
