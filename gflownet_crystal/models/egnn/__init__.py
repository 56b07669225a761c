"""EGNN: an equivariant network for crystals."""
