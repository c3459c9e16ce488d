"""The simulator's own parts: a store that behaves like ClickHouse, a log and a group that behave like Kafka."""

from __future__ import annotations

import pytest

from core.errors import Transient
from streams.block import Known, process_block
from streams.key_index import KeyIndex
from streams.rows import EVENTS
from streams.sequences import SealedSequences
from streams.window import BlockPlace
from tests.simulation.clients import laid_out
from tests.simulation.log import MemoryLog
from tests.simulation.strand import Killed, Strand
from tests.simulation.witness import Witness, WitnessStore
from tests.streams.builders import NOON, Said, messages


def rows_of(*ids: str) -> object:
    """The event rows of a block of these events."""
    said = [[Said(one, {"tokens": "1", "model": "m"}) for one in ids]]
    known = Known(KeyIndex(), SealedSequences())
    return process_block(messages(said), BlockPlace(NOON, 1, 0, 0), laid_out(0), known).events


def test_the_same_rows_under_a_token_are_kept_once() -> None:
    """A second try is harmless, and nothing to speak of."""
    witness = Witness()
    store = WitnessStore(witness)

    store.insert(EVENTS, rows_of("a"), "token")
    store.insert(EVENTS, rows_of("a"), "token")

    assert store.tables[EVENTS].num_rows == 1
    assert witness.defects == []


def test_other_rows_under_a_used_token_are_dropped_and_told() -> None:
    """The store drops them in silence, as ClickHouse does; the witness does not."""
    witness = Witness()
    store = WitnessStore(witness)

    store.insert(EVENTS, rows_of("a"), "token")
    store.insert(EVENTS, rows_of("b"), "token")

    assert store.tables[EVENTS].column("event_id").to_pylist() == ["a"]
    assert len(witness.defects) == 1


def test_a_log_that_comes_back_empty_is_read_from_its_start() -> None:
    """A consumer whose offset lies beyond the new log's end begins at 0, and can tell by the topic's id."""
    log = MemoryLog(1)
    for _ in range(3):
        log.append(0, b"old", [])
    before = log.look()
    log.lose()
    log.append(0, b"new", [])

    assert [(record.offset, record.value) for record in log.read(0, 3, 9)] == [(0, b"new")]
    assert log.look() != before


def test_a_log_out_of_reach_gives_nothing_and_takes_nothing() -> None:
    """Reading waits, writing fails."""
    log = MemoryLog(1, answers=False)

    assert log.read(0, 0, 9) == []
    with pytest.raises(Transient):
        log.append(0, b"", [])


def test_a_strand_runs_only_when_it_is_resumed() -> None:
    """Each turn goes as far as the next hand-back; killing ends it there."""
    done: list[int] = []

    def body() -> None:
        for number in range(3):
            done.append(number)
            strand.hand_back()

    strand = Strand(body)
    assert done == []
    strand.resume()
    strand.resume()
    assert done == [0, 1]
    strand.kill()

    assert done == [0, 1]
    assert isinstance(strand.error, Killed)
