"""Entry point of all scripts: the verb of the name of the script, from a checkout that need not be installed."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from gflownet_crystal.cli.main import main


def run_verb(script: str) -> None:
    """Run the verb that ``script`` is named after, and exit with its status."""
    raise SystemExit(main([Path(script).stem, *sys.argv[1:]]))
