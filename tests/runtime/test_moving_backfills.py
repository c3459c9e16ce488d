"""Months are not closed over backfills on the move."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, insert

from catalog.tables import merchants
from core.clock import SystemClock
from core.db import transaction
from core.errors import Conflict, Refused
from ingest.backfill import State, decide, end, find_backfill, list_backfills, open_backfill
from runtime.completeness import wait_until_complete
from runtime.moving_backfills import moving_backfills

SPAN = (datetime(2023, 1, 10, tzinfo=UTC), datetime(2023, 3, 1, tzinfo=UTC))


@pytest.fixture
def backfill_id(books: Engine) -> str:
    """An open backfill of January and February."""
    with transaction(books) as connection:
        connection.execute(insert(merchants).values(merchant_id="mer_1", code="acme", name="Acme"))
        return open_backfill(connection, "mer_1", *SPAN, "late meters").backfill_id


def gaps(books: Engine, period: str, merchant_ids: list[str] | None = None) -> list[str]:
    """What a close of the month would be told."""
    found = wait_until_complete(
        books,
        None,
        SystemClock(),
        wait_s=0,
        on_wait=lambda _gaps: None,
        more=lambda connection: moving_backfills(connection, period, merchant_ids),
    )
    return [gap.code for gap in found]


def test_a_month_that_a_moving_backfill_touches_is_not_complete(books: Engine, backfill_id: str) -> None:
    """While it is closed or reverted, for its own merchant, and for no other month."""
    assert gaps(books, "2023-01") == []
    with transaction(books) as connection:
        decide(connection, "mer_1", backfill_id, "closing")
    assert gaps(books, "2023-01") == gaps(books, "2023-02", ["mer_1"]) == ["backfill"]
    # A period that began in December may end in the middle of January.
    assert gaps(books, "2022-12") == ["backfill"]
    assert gaps(books, "2022-10") == gaps(books, "2023-04") == gaps(books, "2023-01", ["mer_2"]) == []
    with transaction(books) as connection:
        assert end(connection, find_backfill(connection, None, backfill_id))
    assert gaps(books, "2023-01") == []


def test_a_backfill_is_decided_once_and_may_be_reverted_after_its_close(books: Engine, backfill_id: str) -> None:
    """Deciding again changes nothing; what was reverted is not closed; an end that is overtaken changes nothing."""
    states: list[State] = []

    def go(to: str) -> None:
        with transaction(books) as connection:
            states.append(decide(connection, None, backfill_id, "closing" if to == "closing" else "reverting").state)

    go("closing")
    with transaction(books) as connection:
        before = find_backfill(connection, "mer_1", backfill_id)
    go("closing")
    go("reverting")
    with transaction(books) as connection:
        assert not end(connection, before)
        assert end(connection, find_backfill(connection, "mer_1", backfill_id))
        with pytest.raises(Conflict, match="backfill_reverted"):
            decide(connection, "mer_1", backfill_id, "closing")
        assert [one.state for one in list_backfills(connection, "mer_1")] == ["reverted"]
        assert list_backfills(connection, "mer_2") == ()
        with pytest.raises(Refused, match="backfill_unknown"):
            find_backfill(connection, "mer_2", backfill_id)
    go("reverting")
    assert states == ["closing", "closing", "reverting", "reverted"]


def test_a_span_that_cannot_be_is_refused(books: Engine, backfill_id: str) -> None:
    """Backwards, without a zone, or of more years than anything is kept; and a note that is a novel."""
    with transaction(books) as connection:
        for first, last in (SPAN[::-1], (SPAN[0].replace(tzinfo=None), SPAN[1].replace(tzinfo=None))):
            with pytest.raises(Refused, match="span_invalid"):
                open_backfill(connection, "mer_1", first, last)
        with pytest.raises(Refused, match="span_invalid"):
            open_backfill(connection, "mer_1", datetime(1990, 1, 1, tzinfo=UTC), SPAN[1])
        with pytest.raises(Refused, match="note_invalid"):
            open_backfill(connection, "mer_1", *SPAN, "x" * 2_000)
