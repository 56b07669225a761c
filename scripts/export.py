"""Write the best candidates of a run: ``python scripts/export.py run=DIR k=100 out=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
