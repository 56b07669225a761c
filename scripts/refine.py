"""Learn from samples in rounds: ``python scripts/refine.py run=DIR out=refined rounds=3``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
