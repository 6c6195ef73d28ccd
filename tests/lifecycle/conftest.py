"""Clusters over fake databases, as the spine's tests have them."""

from __future__ import annotations

from tests.spine.conftest import _shared, _shared_pair, cluster, joiner, make_world, pair, world

__all__ = ["_shared", "_shared_pair", "cluster", "joiner", "make_world", "pair", "world"]
