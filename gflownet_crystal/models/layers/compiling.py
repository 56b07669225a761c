"""Compiled hot parts of the networks that name some."""

from __future__ import annotations

import os
import shutil

from torch import nn

from gflownet_crystal.common.errors import ConfigError

_COMPILERS = ("g++", "clang++", "c++", "cl")


def compile_kernels(network: nn.Module) -> bool:
    """Use compiled code for the slow parts of a network from now on; its output changes by rounding only.

    Returns:
        Whether there are such parts: modules with a method ``compile_kernels``, as ALIGNN's convolutions have.

    Raises:
        ConfigError: there is no C++ compiler, without which nothing can be compiled.
    """
    given = os.environ.get("CXX")
    if not any(map(shutil.which, [given] if given else _COMPILERS)):
        raise ConfigError(
            f"compiling needs a C++ compiler: install one of {', '.join(_COMPILERS)} (or set CXX), or go without"
        )
    parts = [getattr(module, "compile_kernels", None) for module in network.modules()]
    named = [compile_part for compile_part in parts if compile_part is not None]
    for compile_part in named:
        compile_part()
    return bool(named)
