"""Keeps the door's view of the catalog fresh, in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Iterable

from sqlalchemy import Engine

from catalog.meter import Meter
from catalog.snapshot import load_meters
from catalog.version import current_version
from core.db import transaction
from core.errors import Transient
from core.expression import read_expression
from core.logs import get_logger
from ingest.needs import DoorCatalog, build_catalog

NUMERIC = frozenset({"sum", "min", "max", "latest", "avg"})
REFRESH_S = 1.0


def arrange(version: int, meters: Iterable[Meter]) -> DoorCatalog:
    """The door's view of some meters: what they read as numbers, by merchant and event type."""
    required: dict[tuple[str, str], tuple[str, ...]] = {}
    optional: dict[tuple[str, str], tuple[str, ...]] = {}
    for meter in meters:
        if meter.aggregation in NUMERIC:
            # A meter with filters does not count every event of its type, so it cannot demand its value of each.
            side = optional if meter.filters else required
            place = (meter.merchant_id, meter.event_type)
            side[place] = tuple(dict.fromkeys((*side.get(place, ()), *read_by(meter))))
    return build_catalog(version, required, optional)


def read_by(meter: Meter) -> tuple[str, ...]:
    """The properties that a meter reads as numbers."""
    if meter.expression is not None:
        return read_expression(meter.expression).properties
    return () if meter.value_property is None else (meter.value_property,)


def load_catalog(books: Engine, known: DoorCatalog | None) -> DoorCatalog:
    """The newest catalog, or ``known`` when that is it; raises ``Transient``."""
    with transaction(books) as connection:
        version = current_version(connection)
        if known is not None and known.version == version:
            return known
        return arrange(version, load_meters(connection, version))


class CatalogFeed:
    """Loads the catalog again and again; while the books are gone, the last one stays."""

    def __init__(self, books: Engine, refresh_s: float = REFRESH_S) -> None:
        self.books = books
        self.refresh_s = refresh_s
        self.catalog: DoorCatalog | None = None
        self.stopping = threading.Event()
        self.log = get_logger("ingest.catalog_feed")
        self.thread = threading.Thread(target=self.run, name="catalog", daemon=True)

    def start(self) -> None:
        """Begin to load."""
        self.thread.start()

    def stop(self) -> None:
        """Load no more."""
        self.stopping.set()
        self.thread.join(5)

    def current(self) -> DoorCatalog | None:
        """The newest catalog; ``None`` until the first is loaded."""
        return self.catalog

    def run(self) -> None:
        """Load until stopped."""
        while not self.stopping.is_set():
            try:
                self.catalog = load_catalog(self.books, self.catalog)
            except Transient as error:
                self.log.warning("the catalog cannot be read", error=str(error))
            self.stopping.wait(self.refresh_s)
