"""When the releaser takes a turn: for a new catalog, for a backfill on the move, and every so often."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert, update

from catalog.tables import catalog_version, merchants
from clickhouse.client import UsageStore
from core.clock import ManualClock
from core.db import transaction
from ingest.backfill import decide, list_backfills, open_backfill
from runtime.embedded.endpoints import Endpoints
from runtime.release.schedule import Seen, look
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts

SPAN = (datetime(2023, 1, 1, tzinfo=UTC), datetime(2023, 2, 1, tzinfo=UTC))


@pytest.fixture
def parts(books: Engine, usage_store: UsageStore, clock: ManualClock, endpoints: Endpoints, topic: str) -> ReleaseParts:
    """Empty stores, and a log to which nothing will be sent."""
    return ReleaseParts(books, usage_store, topic, clock, lambda: LogSender(endpoints.kafka, topic, 4))


def test_a_turn_is_taken_when_there_is_a_reason(parts: ReleaseParts, clock: ManualClock) -> None:
    """At once for a new version, once more a little later, then on schedule; every look for what is on the move."""
    seen, sender = Seen(), parts.open_sender()

    def turns(seconds: float) -> bool:
        clock.advance(seconds=seconds)
        return look(parts, sender, seen, 60) is not None

    assert [turns(seconds) for seconds in (0, 1, 5, 5, 50, 6)] == [True, False, True, False, False, True]
    with transaction(parts.books) as connection:
        connection.execute(update(catalog_version).values(version=1))
    assert [turns(seconds) for seconds in (1, 1, 5, 5)] == [True, False, True, False]

    with transaction(parts.books) as connection:
        connection.execute(insert(merchants).values(merchant_id="mer_1", code="acme", name="Acme"))
        backfill = open_backfill(connection, "mer_1", *SPAN)
    assert not turns(1)
    with transaction(parts.books) as connection:
        decide(connection, "mer_1", backfill.backfill_id, "closing")
    assert turns(1)
    with transaction(parts.books) as connection:
        assert [one.state for one in list_backfills(connection)] == ["closed"]
    assert not turns(1)
    sender.close()
