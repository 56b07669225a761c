"""Put atoms into specs: ``python scripts/generate.py run=runs/one out=structures``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
