"""Write the report of a run as one HTML file: ``python scripts/report.py run=runs/one``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
