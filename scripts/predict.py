"""Predict structures of a formula: ``python scripts/predict.py formula=NaCl out=nacl``."""

from _entry import run_verb

if __name__ == "__main__":
    run_verb(__file__)
