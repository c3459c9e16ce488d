"""What the API server is given by whoever starts it."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine

from api.freshness import LookAtLog
from clickhouse.client import UsageStore
from core.clock import Clock
from ingest.authorize import FindKey


@dataclass(frozen=True, slots=True)
class ApiParts:
    """The stores, the topic whose ledger counts, and how to look up keys and the log's ends."""

    books: Engine
    store: UsageStore
    topic: str
    clock: Clock
    find_key: FindKey
    look_at_log: LookAtLog
