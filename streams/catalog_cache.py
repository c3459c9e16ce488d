"""The catalog by version: loaded once and laid out for blocks."""

from __future__ import annotations

from collections import OrderedDict
from threading import Lock

from sqlalchemy import Engine

from catalog.snapshot import load_snapshot
from core.db import transaction
from streams.compiled import Compiled, compile_catalog

# The newest, and the one that a block announced just before a change still needs.
VERSIONS_KEPT = 2


class CatalogCache:
    """Call it with a version, from any thread. A version never changes, so nothing is stale. Raises ``Transient``."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._kept: OrderedDict[int, Compiled] = OrderedDict()
        self._loading = Lock()

    def __call__(self, version: int) -> Compiled:
        """The catalog as of ``version``."""
        with self._loading:
            if version not in self._kept:
                with transaction(self._engine) as connection:
                    snapshot = load_snapshot(connection, version)
                self._kept[version] = compile_catalog(snapshot)
                while len(self._kept) > VERSIONS_KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(version)
            return self._kept[version]
