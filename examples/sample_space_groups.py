"""Draw crystals of some elements in cubic space groups only, and count the groups."""

import sys

import pandas as pd

from gflownet_crystal.cli.main import main

groups = "[Fm-3m,Pm-3m,F-43m]"
words = ["run=prior", "n=200", "restrict.elements=[Li,Mg,O,S]", f"restrict.space_groups={groups}"]
if status := main(["sample", *words, "out=cubic.csv", *sys.argv[1:]]):
    raise SystemExit(status)
print(pd.read_csv("cubic.csv")["space_group"].value_counts())
