"""Predictions of a proxy beside the labels of a data set."""

from __future__ import annotations

import pandas as pd

from gflownet_crystal.common.devices import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError, DataError
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.schema import ENERGY_COLUMN, STRUCTURE_COLUMNS
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.structure_proxy import StructureProxy
from gflownet_crystal.structures.frames import frame_to_structures
from gflownet_crystal.structures.spec_checks import complaint, spec_faults
from gflownet_crystal.structures.spec_io import frame_to_specs
from gflownet_crystal.structures.structure import StructureBatch
from gflownet_crystal.training.proxies.mlp_validation import prediction_figures
from gflownet_crystal.workflows.data.tables import read_prepared
from gflownet_crystal.workflows.settings.data import OWN, EvaluateProxySettings


def evaluate_proxy(settings: EvaluateProxySettings, proxy: Proxy, origin: str) -> dict[str, object]:
    """Errors of a proxy on labelled crystals, as JSON values.

    Args:
        settings: settings of the verb.
        proxy: the proxy.
        origin: name of the data, for messages.

    Raises:
        ConfigError: the proxy predicts another property than the labels'.
        DataError: a file cannot be read, has no labels, or has no atoms where they are judged.
    """
    set_threads(settings.threads)
    if (proxy.input_kind, proxy.property_name, proxy.unit) != ("specs", ENERGY_COLUMN, "eV/atom"):
        raise ConfigError(
            f"proxy {type(proxy).__name__} predicts {proxy.property_name} ({proxy.unit}) of {proxy.input_kind}; "
            "the labels are formation energies in eV/atom of specs: choose such a proxy"
        )
    device = find_device(settings.device)
    proxy = proxy.to(device)
    judge = proxy.judge if isinstance(proxy, StructureProxy) and settings.atoms == OWN else None
    table = read_prepared(settings.data, settings.quiet, atoms=judge is not None)
    table = labelled_crystals(table, origin)
    specs = frame_to_specs(table)
    if judge is not None:
        prediction = judge(_structures(table, origin).to(device))
    else:
        if (fault := complaint(specs, spec_faults(specs))) is not None:
            raise DataError(f"{origin}: {fault}")
        prediction = proxy(specs.to(device))
    return prediction_figures(prediction, table, specs)


def _structures(table: pd.DataFrame, origin: str) -> StructureBatch:
    """The stored cells with their atoms, one a row."""
    held = table[list(STRUCTURE_COLUMNS)] if set(STRUCTURE_COLUMNS) <= set(table.columns) else None
    if held is None or held.isna().any(axis=None):
        lacking = len(table) if held is None else int(held.isna().any(axis=1).sum())
        raise DataError(
            f"{origin}: {lacking} of {len(table)} crystals have no atoms stored; give the structures themselves, "
            "or atoms=placed to place new ones"
        )
    return frame_to_structures(held)
