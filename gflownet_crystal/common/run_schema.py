"""Names of the files that a run leaves, and of the columns of its tables: written here, and nowhere else."""

from __future__ import annotations

CONFIG, METRICS, SUMMARY = "config.yaml", "metrics.jsonl", "summary.json"
"""Files of a run folder: its configuration, one record an iteration, and its figures."""

SETTINGS = "settings.json"
"""File of a folder that a verb fills in stages: settings that determine its results."""

SAMPLES, SAMPLES_CSV = "samples.parquet", "samples.csv"
CANDIDATES, LEFT_OUT = "candidates.csv", "left_out.csv"
"""Tables of candidates, and of specs or records that were left out."""

STRUCTURES, UNPLACED = "structures.parquet", "unplaced.csv"
"""Tables of generated structures, and of specs without any."""

RELAXATIONS, RELAXED, RELAXED_CSV = "records.jsonl", "relaxed.parquet", "relaxed.csv"
"""Finished relaxations one by one; tables of all of them."""

VIBRATIONS = "vibrations.jsonl"
"""Vibrations of relaxed crystals one by one."""

EVALUATION, EVALUATION_CSV, JUDGED = "metrics.json", "metrics.csv", "structures.csv"
"""Figures of an evaluation, as a table too; a table of the structures that were evaluated."""

WEIGHTS, REPORT = "weights.safetensors", "report.html"

FORMULA, SPACE_GROUP, VOLUME = "formula", "space_group", "volume_per_atom"
"""Formula of the conventional cell, ITA number, and volume per atom in Å^3."""

STATUS, REASON, RANK, CIF_FILE = "status", "reason", "rank", "cif"
"""Outcome of a candidate or a relaxation, why it failed or was left out, rank of a candidate, path of its CIF."""

ENERGY = "energy"
"""Property that the proxy predicts, in its own unit."""

ENERGY_COLUMN = "formation_energy_per_atom"
"""Formation energy of a structure or a label, eV/atom."""

HULL_COLUMN, JUDGED_HULL = "e_above_hull", "e_above_hull_judged"
"""Energies above the hull, eV/atom: by a proxy of specs, and with atoms by an energy model; NaN where unknown."""

ENERGY_STD, LOG_REWARD, LOG_WEIGHT = "energy_std", "log_reward", "log_weight"
"""Standard deviation of the property in its unit, log R, and log-weight of a weighted sample."""

TERM_PREFIX, WITHIN_LIMITS, PARETO_RANK = "log_reward_", "within_limits", "pareto_rank"
"""Of several objectives: a column of each one's part of log R begins with the first; whether all limits hold by the
proxies' values; number of the front of non-dominated samples, from 1."""

CONDITION_PREFIX = "condition_"
"""Columns of conditions begin with it: the values that a sample was made for."""

ENERGY_BEFORE, ENERGY_AFTER = "energy_before", "energy_after"
"""Energies with atoms as placed and after relaxation, eV/atom."""
