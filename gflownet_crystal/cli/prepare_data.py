"""Convert crystals to conventional specs, once: one table that the other verbs read in seconds.

With out=FILE.json, .extxyz, .db, .cif or .vasp, or a folder and format=, the crystals are written with their atoms, in
conventional cells. With strain=chgnet it writes that potential's energies of strained copies of the crystals instead.
With hull=FILE it writes the stable compounds of the crystals, a reference hull for proxy=e_above_hull and export.
Records that are no crystals are left out, counted in the report, and named in left_out.csv beside the output.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.request import Request
from gflownet_crystal.workflows.data.preparing import prepare
from gflownet_crystal.workflows.settings.data import PrepareDataSettings


def run(request: Request) -> None:
    """The verb ``prepare_data``."""
    print(json.dumps(prepare(request.settings(PrepareDataSettings))))
