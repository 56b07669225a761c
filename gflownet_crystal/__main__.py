"""``python -m gflownet_crystal VERB key=value ...``: the same as ``gflownet-crystal``."""

from __future__ import annotations

from gflownet_crystal.cli.main import main

if __name__ == "__main__":
    raise SystemExit(main())
