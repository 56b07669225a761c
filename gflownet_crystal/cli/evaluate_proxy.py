"""Compare a proxy's predictions with the labels of a data set.

Prints one JSON object, in the proxy's unit: n, mae, rmse, the mae of each energy_source, and the share of labels within
two standard deviations where the proxy gives them; mae_in_one_scheme where some labels are of before 2020; n_unusable,
the number of crystals without a prediction, where there are some. A proxy of structures gets the atoms of the data, or
with atoms=placed new ones.
"""

from __future__ import annotations

import json

from gflownet_crystal.config.request import Request
from gflownet_crystal.proxies.base import Proxy
from gflownet_crystal.workflows.evaluating.proxy_evaluation import evaluate_proxy
from gflownet_crystal.workflows.settings.data import EvaluateProxySettings


def run(request: Request) -> None:
    """The verb ``evaluate_proxy``."""
    settings = request.settings(EvaluateProxySettings)
    proxy, origin = request.build("proxy", Proxy), str(request.value("data"))
    print(json.dumps(evaluate_proxy(settings, proxy, origin), indent=2))
