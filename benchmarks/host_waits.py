"""Operations of a training iteration for which the host would wait for a GPU, by the line that asks for them.

    python -m benchmarks.host_waits [batch=256] [words=trainer.replay_fraction=0.25]

They are counted on a CPU, in the fourth iteration of ``train_gfn env=crystal proxy=mlp`` with some ``words`` more.
Sampling, scores, loss and update are included. Hulls are computed on the CPU: the last line counts without their lines.
"""

from __future__ import annotations

import tempfile
from pathlib import Path

from benchmarks.options import read_options, run
from gflownet_crystal.config.build import Trust
from gflownet_crystal.config.compose import compose_config, resolved
from gflownet_crystal.config.training import prepare_training
from tests.models.host_guard import HostWaits, as_on_a_gpu

DEFAULTS = {"batch": "256", "words": ""}


def main(arguments: list[str]) -> None:
    """Count and print."""
    options = read_options(__doc__, DEFAULTS, arguments)
    more = [word for word in options["words"].split(",") if word]
    words = ["env=crystal", "proxy=mlp", f"trainer.batch_size={options['batch']}", "quiet=true", *more]
    with tempfile.TemporaryDirectory() as place:
        config = resolved(compose_config("train_gfn", words))
        training = prepare_training(config, Path(place), Trust()).engine.training
        for _ in range(3):
            training.take_step()
        with as_on_a_gpu(), HostWaits() as waits:
            training.take_step()
    for line, count in waits.lines.most_common():
        print(f"{count:5d}  {line}")
    hulls = sum(count for line, count in waits.lines.items() if "hull" in line)
    print(f"{waits.lines.total()} waits in an iteration, {waits.lines.total() - hulls} without hulls")


if __name__ == "__main__":
    run(main)
