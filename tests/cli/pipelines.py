"""Small pipelines for tests: their commands, a generator that leaves specs out, and readers of their folders."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pandas as pd
from pymatgen.core import Structure

from gflownet_crystal.common.tables import read_csv
from gflownet_crystal.generators.base import Generation
from gflownet_crystal.generators.quick_placement import QuickPlacement
from gflownet_crystal.structures.spec import CrystalSpec
from tests.cli.commands import Result, run_command

TINY = (
    "trainer.batch_size=16", "trainer.checkpoint_every=1", "trainer.iterations=1",
    "prior=null", "policy.forward.n_hidden=8", "samples.n=30", "export.k=0", "threads=1", "quiet=true",
    "env.oxidation_table=default", "env.lattice.axial_ratio=[0.2,5.0]",
    "env.space_groups=[225,221,216,139,123]", "env.elements=[Li,O,Na,Mg,Al,Cl,Zn]",
)  # fmt: skip
"""A training of crystals that takes seconds."""

QUICK = (
    "k=6", "n=60", "tries=2", "batch_size=4", "generator=quick", "generator.tries=4", "screening.within=null",
    "screening.better=1", "screening.order=best", "screening.contacts=loose.safetensors", "threads=1", "quiet=true",
)  # fmt: skip
RELAXED = ("relax=2", "relax_model=alignn", "relaxation.steps=3")


class Fussy(QuickPlacement):
    """Leaves out specs with chlorine."""

    def generate(self, specs: CrystalSpec, seed: int = 0) -> Generation:
        """Place the atoms of the others."""
        liked = (specs.composition[:, 17] == 0).nonzero()[:, 0]
        made = super().generate(specs[liked], seed)
        return replace(made, rows=liked[made.rows])


def pipeline(folder: Path, out: str, *settings: str) -> Result:
    """Run the verb on the run of a folder."""
    return run_command(folder, "pipeline", "run=run", f"out={out}", *QUICK, *settings)


def table(out: Path) -> pd.DataFrame:
    """The table of candidates, numbers as they were written."""
    return read_csv(out / "candidates.csv")


def crystals(out: Path) -> list[Structure]:
    """Crystals of the CIFs of a table."""
    return [Structure.from_file(out / name) for name in table(out)["cif"].dropna()]
