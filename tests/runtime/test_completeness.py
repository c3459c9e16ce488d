"""What lacks between log, ledger and store is found by its offsets, waited for, and never closed over."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import Engine, insert, text, update

from core.clock import SystemClock
from core.db import transaction
from core.errors import Transient
from ingest.segment import Entry, pack_record
from rating.completeness import Gap
from runtime.completeness import Stream, wait_until_complete
from runtime.read_to_end import Ends
from streams.tables import stream_blocks, stream_incarnations, stream_partitions
from tests.runtime.hand_ledger import PRODUCER, TOPIC, Ledger, stream


@pytest.fixture
def ledger(books: Engine) -> Ledger:
    """An empty ledger."""
    return Ledger(books)


def gaps_of(
    ledger: Ledger,
    against: Stream | None = None,
    wait_s: float = 0,
    on_wait: Callable[[tuple[Gap, ...]], None] = lambda _gaps: None,
) -> list[tuple[Any, ...]]:
    """What lacks, without the sentences."""
    found = wait_until_complete(ledger.books, against, SystemClock(), wait_s=wait_s, on_wait=on_wait)
    return [(gap.code, gap.partition, gap.first_offset, gap.last_offset) for gap in found]


def test_a_ledger_that_meets_its_log_lacks_nothing(ledger: Ledger) -> None:
    """Blocks in a row, of two incarnations, up to the log's end; a partition that was never used."""
    ledger.block(0, 4)
    ledger.run(insert(stream_incarnations).values(topic=TOPIC, incarnation=2, topic_id="log-2", partitions=2))
    ledger.block(5, 9, "abandoned")
    ledger.block(0, 2, incarnation=2)
    ledger.stand(3, incarnation=2)

    assert gaps_of(ledger, stream(3, 0, topic_id="log-2")) == []
    assert gaps_of(ledger) == []


def test_an_empty_ledger_and_an_empty_log_lack_nothing(ledger: Ledger) -> None:
    """Nothing was ever sent."""
    assert gaps_of(ledger, stream(0, 0)) == []


def test_a_hole_is_named_at_once(ledger: Ledger) -> None:
    """Waiting would not mend it, and so is not done."""
    ledger.block(0, 4)
    ledger.block(8, 9)
    ledger.block(2, 5, partition=1)
    ledger.stand(10)

    def must_not_wait(_gaps: tuple[Gap, ...]) -> None:
        pytest.fail("a hole does not go away")

    assert gaps_of(ledger, wait_s=30, on_wait=must_not_wait) == [("hole", 0, 5, 7), ("hole", 1, 0, 1)]


def test_a_position_beyond_the_blocks_is_named(ledger: Ledger) -> None:
    """The worker would go on behind offsets that no block holds."""
    ledger.block(0, 4)
    ledger.stand(7)

    assert gaps_of(ledger) == [("wrong_position", 0, 5, 6)]


def test_a_block_that_was_announced_and_is_not_sealed_is_named(ledger: Ledger) -> None:
    """Its rows may be missing; one that is announced from now on lies behind the cut-off."""
    ledger.block(0, 4)
    ledger.stand(5)
    ledger.block(5, 9, "intent")
    with transaction(ledger.books) as connection:
        later = connection.execute(text("SELECT clock_timestamp() + interval '1 hour'")).scalar_one()

    assert gaps_of(ledger) == [("open_block", 0, 5, 9)]
    ledger.run(update(stream_blocks).where(stream_blocks.c.state == "intent").values(intended_at=later))
    assert gaps_of(ledger) == []


def test_messages_that_are_not_stored_are_named(ledger: Ledger) -> None:
    """Of a partition that was read in part, and of one that no worker ever claimed."""
    ledger.block(0, 4)
    ledger.stand(5)

    assert gaps_of(ledger, stream(8, 2)) == [("not_consumed", 0, 5, 7), ("not_consumed", 1, 0, 1)]


def test_a_log_that_no_worker_has_seen_is_wholly_missing(ledger: Ledger) -> None:
    """Positions in an older log say nothing about it."""
    ledger.block(0, 4)
    ledger.stand(5)

    assert gaps_of(ledger, stream(3, 0, topic_id="anew")) == [("not_consumed", 0, 0, 2)]


def test_a_silent_log_is_a_gap_until_it_answers(ledger: Ledger) -> None:
    """Not to be able to tell is not to be complete."""
    answers: list[Ends | None] = [None, None, Ends("log-1", {0: 0, 1: 0})]

    def ends() -> Ends:
        found = answers.pop(0)
        if found is None:
            raise Transient("nobody there")
        return found

    waits: list[str] = []
    assert gaps_of(ledger, Stream(TOPIC, ends), 30, lambda gaps: waits.append(gaps[0].message)) == []
    assert waits == ["the log could not be asked for its end: nobody there"] * 2


def test_what_is_only_in_the_journal_is_named(ledger: Ledger, tmp_path: Path) -> None:
    """Answered for, while the log that held it is gone; sealed sequences of the same producer are not."""
    folder = tmp_path / "gateway"
    folder.mkdir()
    entries = [Entry(PRODUCER, 0, sequence) for sequence in (1, 2, 3)]
    (folder / "1.segment").write_bytes(b"".join(pack_record(entry, b"envelope") for entry in entries))
    ledger.block(0, 4)
    ledger.stand(5, sealed={PRODUCER.hex(): [[1, 2]]})

    assert gaps_of(ledger, stream(5, 0, journal=tmp_path)) == [("journalled", 0, None, None)]
    ledger.move(5, sealed={PRODUCER.hex(): [[1, 3]]})
    assert gaps_of(ledger, stream(5, 0, journal=tmp_path)) == []


def test_the_stream_is_waited_for_until_it_has_what_was_there(ledger: Ledger) -> None:
    """Only up to what the log held when the wait began: more may come for ever."""
    ledger.block(0, 4)
    ledger.stand(5)
    begun = threading.Event()
    ends = iter([10, 20, 30])

    def on_wait(gaps: tuple[Gap, ...]) -> None:
        assert gaps[0].message == "partition 0: offsets 5 to 9 of the log are not stored yet"
        begun.set()

    def catch_up() -> None:
        begun.wait(30)
        ledger.block(5, 9)
        ledger.move(10)

    worker = threading.Thread(target=catch_up)
    worker.start()
    found = gaps_of(ledger, Stream(TOPIC, lambda: Ends("log-1", {0: next(ends)})), 60, on_wait)
    worker.join()

    assert found == []


def test_a_log_made_anew_meanwhile_is_looked_at_again(ledger: Ledger) -> None:
    """The old one's end can never be reached; what it held comes again in the new one."""
    ledger.block(0, 4)
    ledger.stand(5)
    logs = iter([Ends("log-1", {0: 9}), Ends("log-2", {0: 2})])

    def on_wait(_gaps: tuple[Gap, ...]) -> None:
        with transaction(ledger.books) as connection:
            if connection.execute(text("SELECT count(*) FROM stream_incarnations")).scalar_one() == 1:
                values = {"topic": TOPIC, "incarnation": 2, "topic_id": "log-2", "partitions": 2}
                connection.execute(insert(stream_incarnations).values(values))
                connection.execute(update(stream_partitions).values(incarnation=2, next_offset=0))
                return
        ledger.block(0, 1, incarnation=2)
        ledger.move(2, 2)

    assert gaps_of(ledger, Stream(TOPIC, lambda: next(logs)), 60, on_wait) == []
