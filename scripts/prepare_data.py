"""Prepare data for a proxy: ``python scripts/prepare_data.py source=DIR out=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
