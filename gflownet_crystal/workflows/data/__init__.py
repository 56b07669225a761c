"""Downloads, conversions and tables of crystals."""
