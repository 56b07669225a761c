"""gflownet_crystal samples crystals in proportion to a reward, with GFlowNets.

Example:
    >>> import gflownet_crystal as gfc
    >>> run = gfc.train(iterations=600)
    >>> samples = run.sample(1000, elements=["Li", "O"])
    >>> crystals = samples.place()
    >>> crystals.relax("chgnet").to_pymatgen()
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gflownet_crystal.api import (
        Crystal,
        Crystals,
        GFlowNetCrystalError,
        Proxy,
        Run,
        Samples,
        load,
        predict,
        read,
        read_samples,
        train,
    )

__version__ = "0.1.0"
__all__ = [
    "Crystal",
    "Crystals",
    "GFlowNetCrystalError",
    "Proxy",
    "Run",
    "Samples",
    "__version__",
    "load",
    "predict",
    "read",
    "read_samples",
    "train",
]


def __getattr__(name: str) -> Any:
    # PyTorch and pandas are imported when the first of these names is used
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from gflownet_crystal import api

    return getattr(api, name)


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
