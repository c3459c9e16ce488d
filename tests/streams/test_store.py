"""The block store's contract, kept in memory and by ClickHouse alike."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import timedelta

from streams.block import BlockResult, Known, process_block
from streams.key_index import KeyIndex
from streams.plan import Intent
from streams.rows import EVENTS, TABLES, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.store import BlockStore, block_tokens
from streams.window import BlockPlace
from tests.streams.builders import NOON, Said, compiled, messages, meter

TOPIC = "usage"
CATALOG = compiled(meter("tokens"), meter("models", "unique", "model"), meter("level", "latest"))
INTENT = Intent(1, 0, 1, 1, NOON)


def block(groups: Sequence[Sequence[Said]], intent: Intent = INTENT, partition: int = 2) -> BlockResult:
    """The rows of a block."""
    place = BlockPlace(intent.intended_at, intent.incarnation, partition, intent.first_offset)
    log = messages(groups, intent.first_offset)
    return process_block(log, place, CATALOG, Known(KeyIndex(), SealedSequences()))


def write(store: BlockStore, result: BlockResult, intent: Intent = INTENT, partition: int = 2) -> None:
    """Insert all three tables of a block."""
    rows = {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}
    for table, token in block_tokens(TOPIC, partition, intent).items():
        store.insert(table, rows[table], token)


def events(count: int, prefix: str = "e") -> list[Said]:
    """Good events."""
    properties = {"tokens": "1.5", "model": "m", "café": "naïve"}
    return [Said(f"{prefix}{number}", properties, at=NOON + timedelta(seconds=number)) for number in range(count)]


def test_a_block_is_stored_once_however_often_it_is_inserted(
    store: BlockStore, rows_kept: Callable[[str], int]
) -> None:
    """The same rows under the same tokens add nothing."""
    result = block([events(3)])
    for _ in range(3):
        write(store, result)

    assert [rows_kept(table) for table in TABLES] == [3, 3, 1]


def test_a_block_across_months_is_stored_once(store: BlockStore, rows_kept: Callable[[str], int]) -> None:
    """One insert that makes several parts is one insert all the same."""
    spread = [
        Said(str(month), {"tokens": "1", "model": "m"}, at=NOON - timedelta(days=31 * month)) for month in range(14)
    ]
    result = block([spread])
    for _ in range(2):
        write(store, result)

    assert rows_kept(EVENTS) == 14


def test_the_keys_of_stored_and_held_events_come_back(store: BlockStore) -> None:
    """In the order of their high words; those of rejected events and copies do not."""
    held = Said("held", {"tokens": "1", "model": "m"}, subject="c-9")
    result = block([[*events(3), held, Said("bad", {"tokens": "x"}), held]])
    write(store, result)

    found = store.keys(2, NOON - timedelta(days=1), ())

    assert result.counts.held == 1
    assert found.high.tolist() == result.claimed.high.tolist()
    assert found.low.tolist() == result.claimed.low.tolist()
    assert found.body.tolist() == result.claimed.body.tolist()
    assert found.stored_s.tolist() == result.claimed.stored_s.tolist()


def test_keys_of_other_partitions_of_old_blocks_and_of_the_open_block_stay_away(store: BlockStore) -> None:
    """A partition knows its own keys, within the horizon, and none of blocks to be done again or given up."""
    later, given_up = Intent(1, 2, 3, 1, NOON + timedelta(hours=1)), Intent(2, 0, 1, 1, NOON)
    write(store, block([events(6, "gone")], given_up), given_up)
    write(store, block([events(2, "old")], Intent(1, 8, 8, 1, NOON - timedelta(days=3))), Intent(1, 8, 8, 1, NOON))
    write(store, block([events(3, "other")], INTENT, 1), INTENT, 1)
    write(store, block([events(4, "kept")]))
    write(store, block([events(5, "open")], later), later)

    assert len(store.keys(2, NOON - timedelta(days=1), (later, given_up))) == 4


def test_a_forgotten_block_leaves_nothing(store: BlockStore, rows_kept: Callable[[str], int]) -> None:
    """Its rows go from all tables, and the rows of its neighbours stay."""
    neighbour = Intent(1, 2, 3, 1, NOON)
    write(store, block([events(3)]))
    write(store, block([events(4, "n")], neighbour), neighbour)

    store.forget(2, INTENT)

    assert [rows_kept(table) for table in TABLES] == [4, 3, 1]


def test_a_late_insert_of_a_forgotten_block_is_forgotten_again(
    store: BlockStore, rows_kept: Callable[[str], int]
) -> None:
    """An owner that was frozen between intent and insert may bring the rows back; asking again removes them."""
    result = block([events(3)])
    store.forget(2, INTENT)
    write(store, result)

    store.forget(2, INTENT)

    assert [rows_kept(table) for table in TABLES] == [0, 0, 0]
