"""Layers and small functions that several networks share."""
