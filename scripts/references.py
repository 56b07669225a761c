"""Energies of the elements by a calculator: ``python scripts/references.py model._target_=MODULE.CALCULATOR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
