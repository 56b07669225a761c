"""What everything passes on: specs of crystals, structures with atoms, and their way in and out."""

from __future__ import annotations
