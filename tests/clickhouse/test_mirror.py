"""The mirror of the catalog's customers."""

from __future__ import annotations

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.mirror import mirror_customers


def customers(zone: str) -> pl.DataFrame:
    """One customer in a zone."""
    row = {"merchant_id": "mer_1", "customer_id": "cus_1", "subject": "c-1", "name": "First", "currency": "USD"}
    return pl.DataFrame([row | {"zone": zone}])


def test_the_latest_catalog_version_wins_in_whatever_order_it_comes(usage_store: UsageStore) -> None:
    """Repeats and stale copies change nothing."""
    for zone, version in (("Europe/Berlin", 2), ("UTC", 1), ("Europe/Berlin", 2), ("Asia/Tokyo", 3), ("UTC", 1)):
        mirror_customers(usage_store, customers(zone), version=version)

    found = usage_store.query_frame("SELECT customer_id, zone FROM customers FINAL")

    assert found.rows() == [("cus_1", "Asia/Tokyo")]
