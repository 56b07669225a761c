"""Relax crystals with a potential: ``python scripts/relax.py structures=DIR model=chgnet out=OUT``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
