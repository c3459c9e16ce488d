"""Layouts remembered from one request to the next, as long as the catalog stays what it was."""

from __future__ import annotations

from ingest.needs import DoorCatalog
from ingest.properties import Layouts

MERCHANTS_MAX = 2_000


class LayoutMemory:
    """Layouts by merchant. They depend on the catalog, so a new one makes all of them void."""

    def __init__(self) -> None:
        self.catalog: DoorCatalog | None = None
        self.by_merchant: dict[str, Layouts] = {}

    def of(self, merchant_id: str, catalog: DoorCatalog | None) -> Layouts:
        """The layouts of a merchant, to be read and added to."""
        if catalog is not self.catalog or len(self.by_merchant) > MERCHANTS_MAX:
            self.catalog = catalog
            self.by_merchant = {}
        return self.by_merchant.setdefault(merchant_id, {})
