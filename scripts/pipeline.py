"""Sample, place atoms, relax and judge in one go: ``python scripts/pipeline.py run=DIR k=100 out=DIR``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
