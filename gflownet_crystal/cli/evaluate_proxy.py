"""Compare a proxy's predictions with the labels of a data set.

Prints one JSON object: n, mae, rmse, the mae of each energy_source, in the proxy's unit, and the share of labels within
two standard deviations where the proxy gives them; mae_in_one_scheme where some labels are of before 2020.
"""

from __future__ import annotations

import json

from omegaconf import DictConfig

from gflownet_crystal.cli.build import build
from gflownet_crystal.cli.compose import resolved
from gflownet_crystal.cli.data_tables import paths_of, read_prepared
from gflownet_crystal.cli.parts import find_device, set_threads
from gflownet_crystal.common.errors import ConfigError
from gflownet_crystal.data.prepare import labelled_crystals
from gflownet_crystal.data.schema import ENERGY_COLUMN
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.proxies.mlp_validation import error_figures


def run(config: DictConfig) -> None:
    """The verb ``evaluate_proxy``."""
    config = resolved(config)
    paths = paths_of(config.data, "data")
    set_threads(config.threads)
    device = find_device(config.device)
    proxy = build(config.proxy, Proxy, "proxy").to(device)
    if (proxy.eats, proxy.property_name, proxy.unit) != ("specs", ENERGY_COLUMN, "eV/atom"):
        raise ConfigError(
            f"proxy {type(proxy).__name__} predicts {proxy.property_name} ({proxy.unit}) of {proxy.eats}; "
            "the labels are formation energies in eV/atom of specs: choose such a proxy"
        )
    table = labelled_crystals(read_prepared(paths, config.quiet), str(config.data))
    print(json.dumps(error_figures(proxy, table), indent=2))
