"""Relax crystals with a potential: ``python scripts/relax.py structures=DIR model=chgnet out=OUT``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
