"""Write ``composition_scaler.json``: ``python -m gflownet_crystal.evaluation.build_composition_scaler STRUCTURES``.

Means and standard deviations of the Magpie features of MP-20's training structures, by which coverage scales
compositions.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence

import numpy as np
import torch

from gflownet_crystal.common.files import write_json
from gflownet_crystal.data.readers import read_source
from gflownet_crystal.evaluation.coverage import SHIPPED_SCALER, Scaler
from gflownet_crystal.evaluation.fingerprints import composition_fingerprint


def main(arguments: Sequence[str]) -> None:
    """Fit to the structures of a file; rows that say another ``mp20_split`` than train are left out."""
    (source,) = arguments
    frame = read_source(source)
    if "mp20_split" in frame.columns:
        frame = frame[frame["mp20_split"] == "train"]
    features = np.stack([composition_fingerprint(np.asarray(row)) for row in frame["atomic_numbers"]])
    scaler = Scaler.of(torch.from_numpy(features), f"Magpie features of {len(frame)} MP-20 training crystals")
    # six digits are far finer than the effect of the choice of crystals
    rounded = {
        "means": [float(f"{x:.6g}") for x in scaler.mean.tolist()],
        "stds": [float(f"{x:.6g}") for x in scaler.deviation.tolist()],
    }
    write_json(SHIPPED_SCALER, {"origin": scaler.origin, **rounded})
    print(f"{SHIPPED_SCALER}: {scaler.origin}")


if __name__ == "__main__":
    main(sys.argv[1:])
