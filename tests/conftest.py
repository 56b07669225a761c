"""Settings of every test: one thread a process, as tests run side by side, and property tests without time limits."""

from __future__ import annotations

import torch
from hypothesis import settings

torch.set_num_threads(1)
settings.register_profile("package", deadline=None, derandomize=True)
settings.load_profile("package")
