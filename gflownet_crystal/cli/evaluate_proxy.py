"""Compare a proxy's predictions with the labels of a data set.

Prints one JSON object: n, mae, rmse, the mae of each energy_source, in the proxy's unit, and the share of labels within
two standard deviations where the proxy gives them; mae_in_one_scheme where some labels are of before 2020; n_unusable
where the proxy could not judge some. A proxy that sees atoms judges those of the data, or new ones with atoms=placed.
"""

from __future__ import annotations

import json

import pandas as pd

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.config.request import Request
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.schema import ENERGY_COLUMN, STRUCTURE_COLUMNS
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.structure_proxy import StructureProxy
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_checks import complaint, spec_faults
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.proxies.mlp_validation import prediction_figures
from gflownet_crystal.workflows.data_settings import OWN, EvaluateProxySettings
from gflownet_crystal.workflows.data_tables import read_prepared


def run(request: Request) -> None:
    """The verb ``evaluate_proxy``."""
    settings = request.settings(EvaluateProxySettings)
    set_threads(settings.threads)
    device, origin = find_device(settings.device), str(request.value("data"))
    proxy = request.build("proxy", Proxy).to(device)
    if (proxy.input_kind, proxy.property_name, proxy.unit) != ("specs", ENERGY_COLUMN, "eV/atom"):
        raise ConfigError(
            f"proxy {type(proxy).__name__} predicts {proxy.property_name} ({proxy.unit}) of {proxy.input_kind}; "
            "the labels are formation energies in eV/atom of specs: choose such a proxy"
        )
    judge = proxy.judge if isinstance(proxy, StructureProxy) and settings.atoms == OWN else None
    table = read_prepared(settings.data, settings.quiet, atoms=judge is not None)
    table = labelled_crystals(table, origin)
    if judge is not None:
        prediction = judge(_structures(table, origin).to(device))
    else:
        specs = frame_to_specs(table)
        if (fault := complaint(specs, spec_faults(specs))) is not None:
            raise DataError(f"{origin}: {fault}")
        prediction = proxy(specs.to(device))
    print(json.dumps(prediction_figures(prediction, table), indent=2))


def _structures(table: pd.DataFrame, origin: str) -> StructureBatch:
    """The stored cells with their atoms, one a row.

    Raises:
        DataError: a row has none.
    """
    held = table[list(STRUCTURE_COLUMNS)] if set(STRUCTURE_COLUMNS) <= set(table.columns) else None
    if held is None or held.isna().any(axis=None):
        lacking = len(table) if held is None else int(held.isna().any(axis=1).sum())
        raise DataError(
            f"{origin}: {lacking} of {len(table)} crystals have no atoms stored; give the structures themselves, "
            "or atoms=placed to place new ones"
        )
    return frame_to_structures(held)
