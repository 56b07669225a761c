"""Wyckoff assignments of a spec: listed, drawn and ranked."""
