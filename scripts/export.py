"""Write the best candidates of a run: ``python scripts/export.py run=DIR k=100 out=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
