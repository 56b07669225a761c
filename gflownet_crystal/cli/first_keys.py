"""Keys of each verb that matter most, which its help shows first; verbs with few keys have no entry."""

from __future__ import annotations

FIRST: dict[str, tuple[str, ...]] = {
    "prepare_data": ("source", "out", "format", "hull", "strain", "formula_check", "overwrite"),
    "train_proxy": ("data", "out", "run.dir", "test", "training.holdout", "training.members", "training.steps",
                    "training.learning_rate", "threads", "resume"),
    "train_property": ("data", "property", "unit", "labels", "out", "test", "training.transform", "training.minimum",
                       "training.holdout", "resume"),
    "predict": ("formula", "formulas", "out", "n", "space_group", "lattice", "sites", "energies", "format", "resume"),
    "train_energy": ("data", "out", "run.dir", "start", "test", "max_atoms", "loop.epochs", "loop.learning_rate",
                     "device", "resume"),
    "train_denoiser": ("data", "out", "run.dir", "task", "test", "max_atoms", "loop.epochs", "loop.learning_rate",
                       "device", "resume"),
    "train_generator": ("data", "out", "run.dir", "max_atoms", "holdout", "loop.epochs", "loop.learning_rate", "device",
                        "seed", "resume"),
    "train_prior": ("data", "out", "run.dir", "start", "more", "holdout", "loop.epochs", "loop.learning_rate", "device",
                    "resume"),
    "train_gfn": ("run.dir", "env.elements", "env.space_groups", "env.n_elements", "env.n_atoms", "reward.beta",
                  "trainer.iterations", "export.k", "seed", "resume"),
    "refine": ("run", "out", "rounds", "n", "teacher", "data", "relax_steps", "iterations", "processes", "resume"),
    "sample": ("run", "n", "out", "restrict.elements", "restrict.required_elements", "restrict.excluded_elements",
               "restrict.space_groups", "restrict.n_elements", "restrict.n_atoms", "seed"),
    "export": ("run", "out", "k", "n", "samples", "format", "energies", "hull", "tries", "seed"),
    "generate": ("specs", "run", "out", "n", "tries", "keep", "judge", "format", "seed", "resume"),
    "relax": ("structures", "model", "out", "format", "cell", "symmetry", "fmax", "steps", "processes", "resume"),
    "pipeline": ("run", "out", "k", "n", "relax", "relax_model", "energies", "restrict.elements", "processes",
                 "resume"),
    "references": ("model", "elements", "data", "fmax", "steps", "device", "overwrite"),
    "evaluate": ("structures", "run", "reference", "out", "metrics", "judge", "n", "n_judged", "hull", "processes"),
    "report": ("run", "out", "k", "reference", "relaxed", "compare"),
}  # fmt: skip
"""At most ten keys a verb, in the order in which they are shown; those of another choice of a group are left out."""
