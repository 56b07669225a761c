"""Score a proxy on labelled data: ``python scripts/evaluate_proxy.py proxy=mlp data=FILE``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
