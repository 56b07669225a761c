"""Write the report of a run as one HTML file: ``python scripts/report.py run=runs/one``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
