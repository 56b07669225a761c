"""Operations of a training iteration for which the host would wait for a GPU, by the line that asks for them.

    python -m benchmarks.host_waits [batch=256] [words=trainer.replay_fraction=0.25]

They are counted on a CPU that computes in the way of a GPU, in the fourth iteration of
``train_gfn env=crystal proxy=mlp`` with some ``words`` more: sampling, scores, loss, update, and copies between host
and device. Hulls and the history of finds are computed on the CPU: of them only the copies count. The last line has the
number of operations too; a GPU starts one kernel or more for each.
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
    print(f"{waits.lines.total()} waits and {waits.n_operations} operations in an iteration")


if __name__ == "__main__":
    run(main)
