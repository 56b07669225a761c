"""Train an energy model on atoms: ``python scripts/train_energy.py model=alignn data=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
