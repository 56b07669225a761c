"""Sizes and parts of the GemsDiff model, with named presets."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal, Self

from gflownet_crystal.common.annotations import CheckedFields
from gflownet_crystal.common.bounds import Several, ShareBelowOne
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.models.gemsnet.settings import GemsNetSettings, Widths

_FAST = Widths(
    triplet=24,
    circular=8,
    bilinear=32,
    after_skip=1,
    atom_residuals=2,
    edge_head=1,
    lattice_head=24,
    atom_scale=0.05,
)


def _fast_network() -> GemsNetSettings:
    return GemsNetSettings(
        widths=replace(_FAST, atom=96, edge=96),
        n_blocks=2,
        n_radial=32,
        n_orders=4,
        cutoff=10.0,
        tabulated=True,
    )


def present_values(values: Mapping[str, Any]) -> dict[str, Any]:
    """Values of the settings today, from those of a card or run folder of any version: a recipe has a new name."""
    renamed = {"recipe": "corrected"} if values.get("recipe") == "mended" else {}
    return {**values, **renamed}


@dataclass(frozen=True)
class GemsDiffSettings(CheckedFields):
    """Sizes and parts of a GemsDiff model.

    The recipe ``paper`` is Klipfel et al., AAAI 2024. ``corrected`` differs in these points:

    - positions: deviations rise geometrically until x_T is uniform on the torus; steps back follow the posterior, and
      the target is the mean way back over all windings, which is the score; in the paper x_T is not yet uniform,
      each step jumps to the predicted x_0, and the target is the shortest way back;
    - lattice: coordinates are centred on a cell of the volume of its elements and scaled to the training data, the
      target is their velocity, and the decoder starts from the noisy cell, or a cube of that volume; in the paper the
      prior's median volume is 1 Å^3, the target is the lattice parameters, and the decoder starts from a cube of 1 Å;
    - lattices that are given may be held: part of the training is with clean ones;
    - the encoder, which sees the noisy cell, moves atoms as well.

    Attributes:
        recipe: ``corrected`` or ``paper``.
        steps: T.
        neighbours: k, edges of each atom.
        position_first: noise of the first step: its deviation (``corrected``) or variance (``paper``), fractional.
        position_last: noise of the last step.
        lattice_first: variance of the first step of the lattice.
        lattice_last: variance of the last step.
        held: share of the training crystals whose lattice is clean (``corrected``).
        decoder_cell: initial cell of the decoder: the ``noisy`` cell (``corrected``), whose velocity it then can see,
            or a ``cube``.
        time_features: width of the embedding of a step.
        global_features: width of the encoder's features of the whole structure.
        encoder: sizes of the encoder; its heads and its graph follow from the rest.
        decoder: settings of the decoder.
    """

    recipe: Literal["corrected", "paper"] = "corrected"
    steps: Several = 100
    neighbours: int = 12
    position_first: float = 0.005
    position_last: float = 0.75
    lattice_first: float = 1e-5
    lattice_last: float = 1e-1
    held: ShareBelowOne = 0.5
    decoder_cell: Literal["cube", "noisy"] = "noisy"
    time_features: int = 64
    global_features: int = 64
    encoder: GemsNetSettings = field(default_factory=_fast_network)
    decoder: GemsNetSettings = field(default_factory=_fast_network)

    def __post_init__(self) -> None:
        super().__post_init__()
        for name in ("position", "lattice"):
            first, last = (getattr(self, f"{name}_{end}") for end in ("first", "last"))
            if not 0.0 < first < last < 1.0:
                raise ConfigError(
                    f"noise goes from {name}_first={first} to {name}_last={last}: it has to rise from 0 to below 1"
                )
        if not self.is_corrected and self.decoder_cell != "cube":
            raise ConfigError("the recipe paper starts its decoder from a cube: set decoder_cell=cube")
        if self.time_features < 2 or self.time_features % 2:
            raise ConfigError(f"time_features must be even and positive, not {self.time_features}")

    @property
    def is_corrected(self) -> bool:
        """Whether the recipe is ``corrected``."""
        return self.recipe == "corrected"

    @classmethod
    def fast(cls, **changes: Any) -> Self:
        """Sizes for processors, the recipe ``corrected``, with ``changes``."""
        return replace(cls(), **changes)

    @classmethod
    def paper(cls, **changes: Any) -> Self:
        """The paper's recipe and sizes, with ``changes``."""
        chosen = cls(
            recipe="paper",
            neighbours=32,
            position_first=1e-6,
            position_last=2e-3,
            held=0.0,
            decoder_cell="cube",
            time_features=128,
            global_features=256,
            encoder=GemsNetSettings.paper(),
            decoder=GemsNetSettings.paper(),
        )
        return replace(chosen, **changes)

    @property
    def encoder_network(self) -> GemsNetSettings:
        """The encoder's settings with its heads."""
        return replace(
            self.encoder,
            energy=True,
            displacement=self.is_corrected,
            lattice=False,
            conditioning=2 * self.time_features,
        )

    @property
    def decoder_network(self) -> GemsNetSettings:
        """The decoder's settings with its heads."""
        width = self.encoder.widths.atom + self.global_features + 2 * self.time_features
        return replace(self.decoder, energy=False, displacement=True, lattice=True, conditioning=width)
