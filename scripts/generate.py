"""Put atoms into specs: ``python scripts/generate.py run=runs/one out=structures``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
