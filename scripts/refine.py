"""Learn from samples in rounds: ``python scripts/refine.py run=DIR out=refined rounds=3``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
