"""Put atoms into specs of your own: a table of space group, formula and cell becomes CIFs."""

import sys
from pathlib import Path

from gflownet_crystal.cli.main import main

SPECS = """space_group,formula,a,b,c,alpha,beta,gamma
225,Na4 Cl4,5.64,5.64,5.64,90,90,90
136,Ti2 O4,4.594,4.594,2.959,90,90,90
"""

Path("specs.csv").write_text(SPECS)
raise SystemExit(main(["generate", "specs=specs.csv", "out=placed", *sys.argv[1:]]))
