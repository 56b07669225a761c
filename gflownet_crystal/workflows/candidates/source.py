"""A trained run as a source of candidates: its samples, and the hulls that its energies are measured from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.common.run_summary import Quantity
from gflownet_crystal.proxies.e_above_hull import REFERENCE, load_hull
from gflownet_crystal.proxies.hull import Hull
from gflownet_crystal.workflows.candidates.further import FURTHER, further_seed
from gflownet_crystal.workflows.candidates.hulls import ABOVE_HULL, ENERGIES, FORMATION_ENERGY, FindHull
from gflownet_crystal.workflows.sampling.sampling import Parts, sample_model


@dataclass(frozen=True)
class CandidateSource:
    """A trained run that candidates are made of.

    Attributes:
        folder: run folder.
        known: property that its proxy predicts.
        seeks_discoveries: whether its reward is the one for discovery.
        own_hull: function that gives the hull from which its proxy measures energies.
        reward_hull: function that gives the hull that its reward subtracts from formation energies.
        parts: function that loads it, once, at the conditions that were asked for.
        seed: random seed of its samples.
        has_weights: whether it can be sampled.
    """

    folder: Path
    known: Quantity
    seeks_discoveries: bool
    own_hull: FindHull
    reward_hull: FindHull
    parts: Callable[[], Parts]
    seed: int
    has_weights: bool

    @property
    def has_hull(self) -> bool:
        """Whether the proxy predicts energies that can be measured from a hull."""
        return self.known in ENERGIES

    def judged_hull(self, path: str | None) -> Hull:
        """The hull for energies with atoms: the one named, else that of the proxy or reward, else the reference hull.

        Args:
            path: name or file of a hull; None for none.
        """
        if path is not None:
            return load_hull(path)
        own = self.own_hull() if self.known == ABOVE_HULL else self.reward_hull()
        return own or load_hull(REFERENCE)

    def predicted_hulls(self, path: str | None) -> tuple[Hull | None, Hull | None]:
        """Hull for the energies of the proxy, and its own where they are to be measured from the one for the other.

        Args:
            path: name or file of a reference hull, or None for that of the reward, if it has one.

        Raises:
            ConfigError: the proxy predicts nothing that a hull is needed for, or its own hull is not known.
        """
        if path is None:
            return self.reward_hull() if self.known == FORMATION_ENERGY else None, None
        if self.known == FORMATION_ENERGY:
            return load_hull(path), None
        if self.known != ABOVE_HULL:
            raise ConfigError(
                f"hull={path}: the run's proxy predicts {self.known.name} ({self.known.unit}); leave hull out"
            )
        mine = self.own_hull()
        if mine is None:
            raise ConfigError(f"hull={path}: the hull of the run's proxy is not known; leave hull out")
        return load_hull(path), mine

    def draw_further(
        self, restrict: Mapping[str, object] | None = None
    ) -> Callable[[int], pd.DataFrame] | None:
        """Function that draws further samples under a restriction by the number of the draw; None for none."""
        if not self.has_weights:
            return None

        def draw(number: int) -> pd.DataFrame:
            parts, seed = self.parts(), further_seed(self.seed, number)
            return sample_model(
                parts.model, parts.reward, FURTHER, seed, batch_size=FURTHER, restrict=restrict
            )

        return draw
