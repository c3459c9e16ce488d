"""Copies the catalog's customers beside the usage, so that views know names, zones and currencies."""

from __future__ import annotations

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.schema import CUSTOMERS
from core.frames import checked
from core.ids import new_id


def mirror_customers(store: UsageStore, customers: pl.DataFrame, *, version: int) -> None:
    """Write customers as of a catalog version; a later version of the same customer wins, whenever it comes.

    ``customers`` has merchant_id, customer_id, subject, name, zone and currency, all text. Safe to repeat.
    """
    rows = customers.with_columns(pl.lit(version, pl.UInt64).alias("version"))
    # Rows of one customer and version are equal and merge into one, so a token of its own for each call is enough.
    store.insert_frame("customers", checked(rows, CUSTOMERS), token=new_id("mirror"))
