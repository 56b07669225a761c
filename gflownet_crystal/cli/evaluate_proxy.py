"""Compare a proxy's predictions with the labels of a data set.

Prints one JSON object: n, mae, rmse, the mae of each energy_source, in the proxy's unit, and the share of labels within
two standard deviations where the proxy gives them; mae_in_one_scheme where some labels are of before 2020; n_unusable
where the proxy could not judge some. A proxy that sees atoms judges those of the data, or new ones with atoms=placed.
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
