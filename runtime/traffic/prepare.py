"""Make room for a plan's traffic: its catalog in the books, and a key for each merchant."""

from __future__ import annotations

from itertools import islice

from sqlalchemy import Engine

from catalog.document import read_catalog
from catalog.keys import create_key
from clickhouse.client import UsageStore
from core.db import transaction
from runtime.commands.apply import write_catalog
from runtime.traffic.catalog_text import catalog_documents
from runtime.traffic.plan import TrafficPlan

MERCHANTS_AT_ONCE = 200
KEY_NAME = "simulator"


def prepare_traffic(books: Engine, store: UsageStore, plan: TrafficPlan) -> tuple[str, ...]:
    """Apply the plan's catalog, as ``millrace apply`` would, and return a fresh key for each merchant by index.

    May be done again at any time: the catalog is then unchanged, and keys made before stay valid.
    """
    documents = catalog_documents(plan)
    while some := list(islice(documents, MERCHANTS_AT_ONCE)):
        write_catalog(books, store, read_catalog("---\n".join(some).encode()))
    with transaction(books) as connection:
        codes = (plan.merchant_code(merchant) for merchant in range(plan.merchants))
        return tuple(create_key(connection, code, KEY_NAME).key for code in codes)
