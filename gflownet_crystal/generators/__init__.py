"""Generators put atoms into specs."""

from __future__ import annotations
