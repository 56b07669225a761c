"""Store matrices of shipped weights in 8 bits; the cards note the sha256 of the file that the training wrote.

python -m gflownet_crystal.weights.build_eight_bits NAME NAME ...
"""

from __future__ import annotations

import sys

from gflownet_crystal.common.files import load_tensors, read_json
from gflownet_crystal.weights import save_weights, weights_path
from gflownet_crystal.weights.eight_bits import SCALE, rounded

_STATISTICS = ("uncertainty.", "heads.scale")
"""Beginnings of buffers that were measured, not learned: a whitening multiplies rounding errors."""


def main(names: list[str]) -> None:
    """Round the weights of these names in place and print their sizes before and after."""
    for name in names:
        path = weights_path(name)
        tensors, _ = load_tensors(path)
        if any(key.endswith(SCALE) for key in tensors):
            print(f"{name}: is in 8 bits already")
            continue
        card, before = read_json(path.with_suffix(".json")), path.stat().st_size
        kept = {key: tensor for key, tensor in tensors.items() if key.startswith(_STATISTICS)}
        network = {key: tensor for key, tensor in tensors.items() if key not in kept}
        save_weights(
            path,
            {**kept, **rounded(network)},
            {**card, "stored": "matrices in 8 bits", "sha256_trained": card["sha256"]},
        )
        print(f"{name}: {before / 1e6:.2f} -> {path.stat().st_size / 1e6:.2f} MB")


if __name__ == "__main__":
    main(sys.argv[1:])
