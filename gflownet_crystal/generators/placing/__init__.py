"""Steps that place atoms on assigned Wyckoff positions."""
