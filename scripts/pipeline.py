"""Sample, place atoms, relax and judge in one go: ``python scripts/pipeline.py run=DIR k=100 out=DIR``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
