"""First features of atoms: what is given with atoms, and with their structures."""

from __future__ import annotations

import pytest
import torch

from gflownet_crystal.common.errors import DataError
from gflownet_crystal.models.gemsdiff.graph import AtomTable
from gflownet_crystal.models.gemsnet.atom_embedding import AtomEmbedding
from tests.models.small_gemsdiff import crystals


def test_what_is_given_with_structures_is_given_with_each_of_their_atoms() -> None:
    given = crystals()
    graph = AtomTable.of_structures(given, 4).graph(given.cell, given.fractional, torch.float32, False)
    embedding = AtomEmbedding(16, 5, True, torch.Generator().manual_seed(0))
    known = torch.randn(len(given), 5, generator=torch.Generator().manual_seed(1))
    torch.testing.assert_close(embedding(graph, known), embedding(graph, known[given.structure_index]))
    with pytest.raises(DataError, match="conditioning"):
        embedding(graph, known[:2])
