"""Rows of many blocks deleted at once."""

from __future__ import annotations

from time import sleep

from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.clock import SystemClock
from runtime.audit.read_rows import BLOCKS_AT_ONCE
from runtime.audit.rewrite import Stores, delete_rows
from streams.retry import Retry, RetryPolicy
from streams.rows import EVENTS

MUTATIONS = """
    SELECT countIf(is_done) AS done, count() AS sent FROM system.mutations
    WHERE database = currentDatabase() AND table = {table:String}
"""


def test_as_many_blocks_as_are_named_at_once_fit_into_a_question(books: Engine, usage_store: UsageStore) -> None:
    """However far a log has come, and of whatever partitions; one more takes a second deletion, none takes none."""
    stores = Stores(books, usage_store, "topic", Retry(RetryPolicy(), SystemClock(), sleep))
    sent = usage_store.query_frame(MUTATIONS, {"table": EVENTS})["sent"][0]
    delete_rows(stores, EVENTS, [])
    delete_rows(stores, EVENTS, [(1, number % 60, 10**17 + number) for number in range(BLOCKS_AT_ONCE + 1)])
    assert usage_store.query_frame(MUTATIONS, {"table": EVENTS}).row(0) == (sent + 2, sent + 2)
