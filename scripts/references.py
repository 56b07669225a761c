"""Energies of the elements by a calculator: ``python scripts/references.py model._target_=MODULE.CALCULATOR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
