"""Measure the shipped proxy on MP-20's validation set, which is downloaded once; needs a network."""

from gflownet_crystal.cli.main import main

raise SystemExit(main(["fetch_data", "name=mp20"]) or main(["evaluate_proxy", "proxy=mlp", "data=mp20_val"]))
