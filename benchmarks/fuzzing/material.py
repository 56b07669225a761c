"""Valid inputs, small: files of every format that is read, weights, trained runs and folders that verbs filled."""

from __future__ import annotations

import io
import json
import os
from collections.abc import Mapping
from contextlib import redirect_stderr, redirect_stdout
from pathlib import Path

import ase.io
import pandas as pd
import torch
from pymatgen.io.ase import AseAtomsAdaptor
from pymatgen.io.cif import CifWriter
from pymatgen.io.vasp import Poscar

from gflownet_crystal.cli.main import main
from tests.cli.tiny_weights import generator_words
from tests.data.crystals import ENERGIES, KNOWN, conventional_structures, stored_frame

SPACE = (
    "env=crystal", "env.space_groups=[225,221,216]", "env.elements=[Li,O,Na,Cl]", "env.n_elements=[2,2]",
    "env.n_atoms=[2,8]",
)  # fmt: skip
CRYSTAL_RUN = (
    "train_gfn", *SPACE, "proxy=mlp", "trainer.iterations=2", "trainer.batch_size=8",
    "trainer.checkpoint_every=1", "prior=null", "policy.forward.n_hidden=8", "samples.n=12", "export.k=0", "threads=1",
    "quiet=true",
)  # fmt: skip
GRID_RUN = (
    "train_gfn", "env=hypergrid", "env.length=4", "proxy=grid_corners", "trainer.iterations=2",
    "trainer.batch_size=8", "trainer.checkpoint_every=1", "policy=mlp", "policy.forward.n_hidden=8",
    "policy.backward.n_hidden=8", "samples.n=8", "export.k=0", "threads=1", "quiet=true",
)  # fmt: skip
PROXY_RUN = (
    "train_proxy", "proxy=mlp", "data=crystals.parquet", "training.steps=2", "training.batch_size=4",
    "training.members=2", "training.width=8", "training.random_strains=1", "checkpoint_every=1", "threads=1",
    "quiet=true",
)  # fmt: skip
PROPERTY_RUN = (
    "train_property", "data=many.parquet", "property=formation_energy_per_atom", "unit=eV/atom", "training.steps=2",
    "training.width=4", "training.holdout=0.3", "checkpoint_every=1", "threads=1", "quiet=true",
)  # fmt: skip
_LOOP = (
    "loop.epochs=1",
    "loop.atoms=20",
    "loop.checkpoint_every=1",
    "holdout=0.0",
    "threads=1",
    "quiet=true",
)
ENERGY_RUN = (
    "train_energy", "model=alignn", "data=crystals.parquet", "model.settings.width=8",
    "model.settings.embedding=8", "model.settings.alignn_layers=1", "model.settings.gcn_layers=1", *_LOOP,
)  # fmt: skip
DENOISER_RUN = (
    "train_denoiser", "model=egnn", "data=crystals.parquet", "model.settings.features=8",
    "model.settings.hidden=8", "model.settings.n_layers=1", "model.settings.n_message_layers=1", *_LOOP,
)  # fmt: skip
GENERATOR_RUN = (
    "train_generator", "generator=wyckoff", "data=crystals.parquet", "generator.network.width=16",
    "generator.network.vectors=4", "generator.network.n_layers=1", *_LOOP,
)  # fmt: skip
QUICK = ("generator=quick", "generator.tries=2", "quiet=true")
GENERATE = ("generate", "specs=specs.parquet", *QUICK, "n=3", "batch_size=2", "threads=1")
RELAX = ("relax", "structures=cif", "model=energy.safetensors", "steps=1", "threads=1", "quiet=true")
EXPORT = ("export", "run=run_crystal", "k=2", *QUICK)
EVALUATE = (
    "evaluate", "structures=set.extxyz", "metrics=[validity,space_groups,uniqueness]", "network=null",
    "cache=null", "threads=1",
)  # fmt: skip
PREDICT = (
    "predict", "formula=NaCl", "cells=2", "n=2", "most_atoms=4", "energies=null", *QUICK, "threads=1",
)  # fmt: skip
PIPELINE = (
    "pipeline", "run=run_crystal", "k=2", "n=8", "tries=1", "energies=energy.safetensors", *QUICK, "threads=1",
)  # fmt: skip
_FOLDERS: Mapping[str, tuple[tuple[str, ...], str]] = {
    "run_crystal": (CRYSTAL_RUN, "run.dir"), "run_grid": (GRID_RUN, "run.dir"),
    "run_proxy": ((*PROXY_RUN, "out=proxy.safetensors"), "run.dir"),
    "run_energy": ((*ENERGY_RUN, "out=energy.safetensors"), "run.dir"),
    "run_denoiser": (DENOISER_RUN, "run.dir"), "run_generator": (GENERATOR_RUN, "run.dir"),
    "out_generate": (GENERATE, "out"), "out_relax": (RELAX, "out"), "out_evaluate": (EVALUATE, "out"),
    "out_export": (EXPORT, "out"), "out_pipeline": (PIPELINE, "out"),
}  # fmt: skip


def make_valid(folder: Path) -> None:
    """Fill a folder with valid inputs.

    Raises:
        RuntimeError: a command failed on them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    _write_structures(folder)
    generator_words("wyckoff", folder)
    here = os.getcwd()
    os.chdir(folder)
    try:
        _command("prepare_data", "source=crystals.parquet", "out=prepared.parquet", "quiet=true")
        _command("prepare_data", "source=crystals.parquet", "hull=hull.parquet", "quiet=true")
        prepared = pd.read_parquet("prepared.parquet")
        prepared.to_parquet("specs.parquet")
        prepared.to_csv("specs.csv", index=False)
        for name, (words, key) in _FOLDERS.items():
            _command(*words, f"{key}={name}")
    finally:
        os.chdir(here)


def _command(*words: str) -> None:
    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(said):
        status = main(list(words))
    if status:
        raise RuntimeError(f"{' '.join(words)}: {said.getvalue()}")


def _write_structures(folder: Path) -> None:
    structures, names = conventional_structures(), [name for name, *_ in KNOWN]
    frame = stored_frame()
    frame["mp20_split"] = ["val" if row % 8 == 3 else "train" for row in range(len(frame))]
    frame.to_parquet(folder / "crystals.parquet")
    many = pd.concat([frame] * 4, ignore_index=True)
    many.assign(material_id=[str(row) for row in range(len(many))]).to_parquet(folder / "many.parquet")
    compositions = pd.DataFrame(
        {
            "matbench_id": names,
            "composition": [structure.composition.reduced_formula for structure in structures],
            "space_group": [group for _, group, *_ in KNOWN],
            "formation_energy_per_atom": ENERGIES,
        }
    )
    compositions.to_parquet(folder / "compositions.parquet")
    (folder / "cif").mkdir(exist_ok=True)
    for name, structure in zip(names, structures, strict=True):
        # with the operations of its group and one atom of each orbit
        CifWriter(structure, symprec=0.01).write_file(folder / "cif" / f"{name}.cif")
    small = [structures[row] for row in (0, 1, 3)]
    texts = [str(CifWriter(structure)) for structure in small]
    columns = {"formation_energy_per_atom": [-2.0, -1.0, -3.0], "spacegroup.number": [225, 221, 136]}
    mp20 = pd.DataFrame({"material_id": ["a", "b", "c"], "cif": texts, **columns, "band_gap": 0.0})
    mp20.to_csv(folder / "mp20.csv", index=False)
    (folder / "POSCAR").write_text(Poscar(small[2]).get_str(), encoding="utf-8")
    (folder / "NaCl.vasp").write_text(Poscar(small[0]).get_str(), encoding="utf-8")
    (folder / "pymatgen.json").write_text(json.dumps(small[1].as_dict()), encoding="utf-8")
    rows = [
        [structure.as_dict(), energy] for structure, energy in zip(small, (-2.0, -1.0, -3.0), strict=True)
    ]
    table = {"index": list(range(3)), "columns": ["structure", "e_form"], "data": rows}
    (folder / "matbench.json").write_text(json.dumps(table), encoding="utf-8")
    atoms = [AseAtomsAdaptor.get_atoms(structure, msonable=False) for structure in small]
    ase.io.write(folder / "set.extxyz", atoms, format="extxyz")
    torch.save(
        {
            "frac_coords": torch.tensor([point for s in small for point in s.frac_coords.tolist()]),
            "atom_types": torch.tensor([number for s in small for number in s.atomic_numbers]),
            "lengths": torch.tensor([s.lattice.abc for s in small]),
            "angles": torch.tensor([s.lattice.angles for s in small]),
            "num_atoms": torch.tensor([len(s) for s in small]),
        },
        folder / "set.pt",
    )
