"""Download public data sets: ``python scripts/fetch_data.py name=mp20``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
