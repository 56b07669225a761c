"""Download public data sets: ``python scripts/fetch_data.py name=mp20``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
