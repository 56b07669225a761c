"""From the run of train_sampler.py to candidates of some elements: screened, relaxed with a shipped model, as CIFs."""

import sys

from gflownet_crystal.cli.main import main

words = [
    "run=runs/example",
    "k=3",
    "relax=2",
    "relax_model=alignn",
    "restrict.elements=[Li,Mg,O,S]",
    "out=best",
]
raise SystemExit(main(["pipeline", *words, *sys.argv[1:]]))
