"""Train a network to make crystals from noise: ``python scripts/train_denoiser.py model=gemsnet data=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
