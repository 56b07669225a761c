"""Predict structures of a formula: ``python scripts/predict.py formula=NaCl out=nacl``."""

from _door import open_door

if __name__ == "__main__":
    open_door(__file__)
