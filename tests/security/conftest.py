"""Clusters over fake databases, as the spine's tests have them."""

from __future__ import annotations

from tests.spine.conftest import make_world

__all__ = ["make_world"]
