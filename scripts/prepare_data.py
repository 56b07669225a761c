"""Prepare data for a proxy: ``python scripts/prepare_data.py source=DIR out=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
