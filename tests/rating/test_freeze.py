"""The cut-off: everything sealed counts, nothing that may still be on its way does, and the books say which."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta

from sqlalchemy import Engine, text

from core.db import transaction
from rating.freeze import freeze_now, freezes_left

NOW = datetime(2023, 12, 4, tzinfo=UTC)
INTENT = text("""
    INSERT INTO stream_blocks (topic, incarnation, partition, first_offset, last_offset, catalog_version, epoch,
        state, intended_at)
    VALUES ('t', 1, :partition, 0, 9, 1, 1, 'intent', clock_timestamp()) RETURNING intended_at
""")
SEAL = text("""
    UPDATE stream_blocks SET state = 'sealed', received = 0, stored = 0, duplicates = 0, conflicts = 0, held = 0,
        rejected = 0
""")


def intend(books: Engine, partition: int) -> datetime:
    """Write the intent of a block, and say when."""
    with transaction(books) as connection:
        found: datetime = connection.execute(INTENT, {"partition": partition}).scalar_one()
        return found


def test_without_open_blocks_the_cutoff_is_now_by_the_clock_of_the_books(books: Engine) -> None:
    """Time stamps of usage come from that clock, so the cut-off must too."""
    intend(books, 0)
    with transaction(books) as connection:
        connection.execute(SEAL)
        before = connection.execute(text("SELECT clock_timestamp()")).scalar_one()

    frozen = freeze_now(books, NOW)

    assert before < frozen.cutoff < before + timedelta(minutes=1)
    assert frozen.ended_by == NOW


def test_the_oldest_open_block_bounds_the_cutoff(books: Engine) -> None:
    """A block that is not sealed may be missing in the usage store: nothing from its time stamp on counts."""
    oldest = intend(books, 0)
    intend(books, 1)

    frozen = freeze_now(books, NOW)

    assert frozen.cutoff == oldest - timedelta(microseconds=1)


def test_a_period_that_ended_after_the_cutoff_is_not_due(books: Engine) -> None:
    """However late the clock of the caller, a period does not close over a hole."""
    oldest = intend(books, 0)

    frozen = freeze_now(books, NOW + timedelta(days=365 * 100))

    assert frozen.ended_by == oldest - timedelta(microseconds=1)


def test_an_intent_that_is_being_written_is_waited_for(books: Engine) -> None:
    """Its time stamp is older than now although nobody sees it yet; the freeze must not pass it."""
    found: list[datetime] = []
    freezing = threading.Thread(target=lambda: found.append(freeze_now(books, NOW).cutoff))
    with transaction(books) as connection:
        intended_at: datetime = connection.execute(INTENT, {"partition": 0}).scalar_one()
        freezing.start()
        freezing.join(timeout=0.5)
        assert freezing.is_alive()
    freezing.join(timeout=10)

    assert found == [intended_at - timedelta(microseconds=1)]


def test_nothing_is_left_where_no_close_was_cut_short(books: Engine) -> None:
    """The books of a new installation hold no open run."""
    with transaction(books) as connection:
        assert freezes_left(connection, "2023-11") == {}
