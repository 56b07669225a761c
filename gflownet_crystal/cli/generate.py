"""Put atoms into specs: structures as Parquet and CIF, extended XYZ, POSCAR, JSON or a database of ASE.

Specs come from a spec file, the samples of a run, or crystals, of which only composition, space group and lattice are
read. Each batch of specs is kept once it is done; a run that was stopped goes on with the same settings and
resume=true.
"""

from __future__ import annotations

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.config.request import Request
from gflownet_crystal.data.left_out import LeftOut
from gflownet_crystal.generators.base import Generator
from gflownet_crystal.workflows.data.tables import tell
from gflownet_crystal.workflows.placing.generating import generate_structures, maker_of, specs_asked
from gflownet_crystal.workflows.settings.verbs import GenerateSettings


def run(request: Request) -> None:
    """The verb ``generate``."""
    settings = settings_of(request)
    set_threads(settings.threads)
    device, left_out = find_device(settings.device), LeftOut()
    maker = maker_of(settings, request.build("generator", Generator), device)
    specs = specs_asked(settings, left_out)
    tell(left_out)
    print(generate_structures(settings, maker, specs, request.value("generator")))


def settings_of(request: Request) -> GenerateSettings:
    """Settings of ``generate``."""
    return request.settings(GenerateSettings)
