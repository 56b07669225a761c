"""Sizes and parts of GemsNet, with named presets."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Count, Positive
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.layers.inputs import GraphSettings


@dataclass(frozen=True)
class Widths:
    """Numbers of features of atoms, edges and messages between edges, and of residual layers.

    Attributes:
        atom: features of an atom.
        edge: features of an edge.
        triplet: number of features in the messages between adjacent edges.
        radial: functions of distance after their projection.
        circular: functions of distance and angle after their projection.
        bilinear: width of the sum over the pairs of an edge.
        before_skip: residual layers before the skip connection of an edge.
        after_skip: after it.
        concat: after the edges have read the atoms.
        atom_residuals: number of residual layers on the sums of atoms.
        edge_head: residual layers of the displacement head.
        lattice_head: hidden width of the lattice head.
        triplet_scale: factor on sums over pairs of edges, which with the next one keeps the features of a new network
            near 1 from block to block: GemNet's fitted scaling factors.
        atom_scale: factor on sums over the neighbours of an atom.
    """

    atom: int = 128
    edge: int = 128
    triplet: int = 32
    radial: int = 16
    circular: int = 16
    bilinear: int = 64
    before_skip: int = 1
    after_skip: int = 2
    concat: int = 1
    atom_residuals: int = 3
    edge_head: int = 3
    lattice_head: int = 64
    triplet_scale: float = 0.12
    atom_scale: float = 0.03


@dataclass(frozen=True)
class GemsNetSettings(CheckedFields):
    """Sizes and parts of a GemsNet.

    Attributes:
        graph: definition of the neighbours of atoms; it has to be symmetric.
        widths: numbers of features.
        n_blocks: interaction blocks; each is followed by its heads, and there is one set of heads before them.
        basis: functions of distance: Gaussians, as in the authors' code, or the Bessel functions of the paper
            (equations 11 and 12).
        n_radial: number of radial functions.
        n_orders: orders l of the functions of the angle.
        cutoff: distance at which the envelope takes them to zero, Å.
        envelope_exponent: p of equation 15.
        energy: whether there are heads for the energy.
        displacement: whether there is a head for the displacements of atoms.
        lattice: whether there is a head for the action on the lattice.
        conditioning: width of a vector given with each structure (a time embedding); 0 for none.
        tabulated: whether atoms start from tabulated features of their elements too.
        axes: whether edges start from their directions in the axes of the cell too. Such a network tells the axes
            apart, and is invariant neither under other cells of the same lattice nor under supercells.

    Raises:
        ConfigError: an unknown basis, a number that is not positive, or a graph that is not symmetric.
    """

    graph: GraphSettings = field(default_factory=lambda: GraphSettings(cutoff=None, neighbours=32))
    widths: Widths = field(default_factory=Widths)
    n_blocks: Count = 3
    basis: Literal["gaussian", "bessel"] = "gaussian"
    n_radial: Count = 128
    n_orders: Count = 7
    cutoff: Positive = 6.0
    envelope_exponent: Count = 6
    energy: bool = True
    displacement: bool = True
    lattice: bool = True
    conditioning: int = 0
    tabulated: bool = False
    axes: bool = False

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.graph.symmetric:
            raise ConfigError("GemsNet sends messages along reversed edges: its graph needs symmetric=true")

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The authors' sizes, with ``changes``."""
        return replace(cls(), **changes)

    @classmethod
    def fast(cls, **changes: Any) -> Self:
        """Settings with fewer neighbours and shorter heads, updated by ``changes``."""
        widths = Widths(circular=12, bilinear=48, after_skip=1, edge_head=1, lattice_head=32, atom_scale=0.05)
        graph = GraphSettings(cutoff=None, neighbours=12)
        return replace(cls(graph=graph, widths=widths, n_radial=64, n_orders=5, tabulated=True), **changes)

    @classmethod
    def energies(cls, **changes: Any) -> Self:
        """The fast sizes for energies alone, which are continuous as edges fade, with ``changes``."""
        graph = GraphSettings(cutoff=None, neighbours=12, fade=0.5)
        return replace(cls.fast(graph=graph, displacement=False, lattice=False), **changes)

    @classmethod
    def denoising(cls, **changes: Any) -> Self:
        """The fast sizes for crystals whose lattice is yet unknown, so given as a cube, with ``changes``.

        In a cube neighbours may be far apart, and the nearest are not all those of the crystal: the envelope has to
        leave them their weight, and some more of them are needed. Without the axes, the lattice that is made has all
        symmetries that the cube and the positions share, also those that the crystal's own lattice lacks.
        """
        graph = GraphSettings(cutoff=None, neighbours=16)
        return replace(cls.fast(cutoff=12.0, energy=False, graph=graph, axes=True), **changes)
