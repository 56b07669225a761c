"""Train a sampler of crystals near the convex hull and write screened candidates with atoms; five minutes of one core.

Further settings may follow, as ``python examples/train_sampler.py env.elements=[Li,O,S] trainer.iterations=100``.
"""

import sys

from gflownet_crystal.cli.main import main

words = ["train_gfn", "env=crystal", "proxy=mlp", "seed=1", "run.dir=runs/example", *sys.argv[1:]]
raise SystemExit(main(words))
