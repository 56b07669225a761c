"""Train an energy model on atoms: ``python scripts/train_energy.py model=alignn data=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
