"""Candidates of a run: chosen, placed, judged, replaced until k stand, and written."""
