"""Many blocks mended at once: few statements, each block proved by itself, and crashes at every step between."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

import pytest
from sqlalchemy import Engine, insert, select, text

from core.db import transaction
from runtime.audit.mended import Mended
from runtime.audit.repair import repair
from runtime.audit.repair_ledger import Mending, begin_repairs
from runtime.audit.run import AuditParts, audit
from runtime.embedded.endpoints import Endpoints
from runtime.watcher import Watcher
from streams.rows import EVENTS, TABLES, UNIQUES, WINDOWS
from streams.tables import stream_blocks
from tests.runtime.audit.small_blocks import Topic, copied, tell
from tests.runtime.audit.watched_store import Ended, WatchedStore
from tests.streams.builders import Said, minutes
from tests.streams.stories import Filled, Told, amend, backfill, release, retract

PARTITIONS = 4
BLOCKS = 6
SUM = "SELECT count(), sum(cityHash64(*)), groupBitXor(cityHash64(*)) FROM {table}"
HALF = {
    EVENTS: "cityHash64(key) % 2 = 0",
    WINDOWS: "cityHash64(window_start, block_first, meter_id) % 2 = 0",
    UNIQUES: "cityHash64(value, block_first) % 2 = 0",
}


@pytest.fixture
def store(clickhouse_url: str) -> Iterator[WatchedStore]:
    """A watched store on a fresh database."""
    found = WatchedStore(clickhouse_url)
    yield found
    found.close()


@pytest.fixture
def fresh(endpoints: Endpoints, topic: str, books: Engine, store: WatchedStore) -> Topic:
    """A topic of which nothing was told yet."""
    return Topic(endpoints.kafka, topic, books, store)


@pytest.fixture
def quiet(fresh: Topic) -> AuditParts:
    """Some blocks in each partition; each but the first has a copy of an event of the one before."""
    return tell(fresh, [[copied(partition, number) for number in range(BLOCKS)] for partition in range(PARTITIONS)])


def contents(store: WatchedStore) -> list[tuple[object, ...]]:
    """For each table the number of its rows, and sums over all their bytes that do not depend on their order."""
    return [store.query_frame(SUM.format(table=table)).row(0) for table in TABLES]


def truncate(store: WatchedStore, tables: Sequence[str] = TABLES) -> None:
    """Lose all rows."""
    for table in tables:
        store.command(f"TRUNCATE TABLE {table}")


def lose(store: WatchedStore, table: str, where: str) -> None:
    """Lose some rows."""
    store.command(f"ALTER TABLE {table} DELETE WHERE {where} SETTINGS mutations_sync = 2")


def mend(parts: AuditParts, store: WatchedStore) -> tuple[list[Mended], Counter[str]]:
    """Audit and repair; also what the repair asked the store."""
    report = audit(parts)
    store.asked.clear()
    return repair(parts, report), Counter(store.asked)


def messages(mended: Sequence[Mended], *, done: bool) -> list[str]:
    """What was said of those that were mended, or of the others."""
    return [one.message for one in mended if one.done is done]


def states(books: Engine) -> Counter[tuple[str, int]]:
    """How many repairs are in which state, by their generation."""
    with transaction(books) as connection:
        rows = connection.execute(text("SELECT state, generation FROM audit_repairs"))
        return Counter((state, generation) for state, generation in rows)


def test_all_tables_come_back_in_few_statements(quiet: AuditParts, store: WatchedStore) -> None:
    """One insert a table for all blocks, no deletion where nothing is; copies are copies, since keys are known."""
    before = contents(store)
    truncate(store)
    heard: list[int] = []
    report = audit(quiet)
    store.asked.clear()

    mended = repair(quiet, report, Watcher(total=heard.append, done=heard.append))

    assert len(mended) == PARTITIONS * BLOCKS
    assert all(one.message.endswith(f"{', '.join(TABLES)} written again, generation 1") for one in mended)
    # All tables are read before and after, and the keys of each partition.
    assert Counter(store.asked) == {"insert": 3, "read": 3 + PARTITIONS + 3}
    assert contents(store) == before
    assert audit(quiet).findings == ()
    assert states(quiet.books) == {("done", 1): len(mended)}
    assert heard[0] == sum(heard[1:]) == len(mended)


def test_statements_grow_with_portions_of_blocks(
    quiet: AuditParts, store: WatchedStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """So many blocks or events a portion, or one block, across partitions; the keys of one are known in the next."""
    before = contents(store)
    for name, most in (("BLOCKS_AT_ONCE", 8), ("EVENTS_AT_ONCE", 24)):
        with monkeypatch.context() as patched:
            patched.setattr(f"runtime.audit.repair.{name}", most)
            truncate(store)
            mended, asked = mend(quiet, store)
        assert messages(mended, done=False) == []
        assert contents(store) == before
        assert (asked["insert"], asked["delete"]) == (3 * PARTITIONS * BLOCKS // 8, 0)
    monkeypatch.setattr("runtime.audit.repair.EVENTS_AT_ONCE", 1)
    truncate(store, [WINDOWS])
    mended, asked = mend(quiet, store)
    assert (asked["insert"], len(messages(mended, done=True))) == (PARTITIONS * BLOCKS, PARTITIONS * BLOCKS)
    assert contents(store) == before


def test_what_is_left_of_blocks_is_deleted_at_once(quiet: AuditParts, store: WatchedStore) -> None:
    """One deletion a table, of the blocks that differ in it; tables that are right are left alone."""
    before = contents(store)
    for table, where in HALF.items():
        lose(store, table, where)
    mended, asked = mend(quiet, store)
    assert messages(mended, done=False) == []
    assert (asked["delete"], asked["insert"]) == (3, 3)
    assert contents(store) == before

    lose(store, EVENTS, "partition = 1")
    mended, asked = mend(quiet, store)
    assert {one.place["partition"] for one in mended} == {1}
    assert all("rows of usage_events written again, generation 2" in one.message for one in mended)
    assert (asked["delete"], asked["insert"]) == (0, 1)
    assert contents(store) == before


def test_blocks_between_that_are_right_give_their_keys(quiet: AuditParts, store: WatchedStore) -> None:
    """Every second block is lost: what it repeats lies in the one before, which is read and not made again."""
    before = contents(store)
    for table in TABLES:
        lose(store, table, "block_first % 2 = 1")

    mended, asked = mend(quiet, store)

    assert len(messages(mended, done=True)) == len(mended) == PARTITIONS * BLOCKS // 2
    assert asked == {"insert": 3, "read": 3 + PARTITIONS + 3}
    assert contents(store) == before


def test_a_block_that_cannot_be_proved_keeps_no_other(quiet: AuditParts, store: WatchedStore) -> None:
    """It is left as it is, with whatever is stored of it, and named; all others come back."""
    before = contents(store)
    last = BLOCKS - 1
    with transaction(quiet.books) as connection:
        connection.execute(
            text("UPDATE stream_blocks SET digest = 'other' WHERE partition = 2 AND first_offset = :last"),
            {"last": last},
        )
    for table in TABLES:
        lose(store, table, f"NOT (partition = 2 AND block_first = {last})")

    mended, _asked = mend(quiet, store)

    refused = messages(mended, done=False)
    assert len(refused) == 1
    assert refused[0].startswith(f"block {last} to {last} of incarnation 1, partition 2 cannot be made again with")
    assert len(messages(mended, done=True)) == PARTITIONS * BLOCKS - 1
    assert contents(store) == before
    assert states(quiet.books) == {("done", 1): PARTITIONS * BLOCKS - 1}


@pytest.mark.parametrize("before_insert", [1, 2, 3])
def test_a_crash_between_deletion_and_insert_is_mended_by_the_next_repair(
    quiet: AuditParts, store: WatchedStore, before_insert: int
) -> None:
    """Rows are gone and repairs are begun: what was proved once is proved again, in the next generation."""
    before = contents(store)
    for table, where in HALF.items():
        lose(store, table, where)
    report = audit(quiet)
    store.asked.clear()
    store.ends_before = ("insert", before_insert)
    with pytest.raises(Ended):
        repair(quiet, report)
    store.ends_before = None
    assert store.asked.count("delete") == before_insert
    begun = states(quiet.books)
    assert set(begun) == {("begun", 1)}

    mended, _asked = mend(quiet, store)

    assert messages(mended, done=False) == []
    assert contents(store) == before
    assert audit(quiet).findings == ()
    assert states(quiet.books)["done", 2] == len(mended) > 0


def test_after_a_crash_before_the_end_rows_are_right_and_tokens_are_not_used_again(
    quiet: AuditParts, store: WatchedStore
) -> None:
    """The next audit finds nothing; when the blocks are lost once more, what is inserted is not taken for a repeat."""
    before = contents(store)
    truncate(store)
    report = audit(quiet)
    store.asked.clear()
    store.ends_before = ("read", 3 + PARTITIONS + 1)
    with pytest.raises(Ended):
        repair(quiet, report)
    store.ends_before = None
    assert store.asked.count("insert") == 3
    assert set(states(quiet.books)) == {("begun", 1)}
    assert audit(quiet).findings == ()

    truncate(store)
    mended, _asked = mend(quiet, store)

    assert all("generation 2" in one.message for one in mended)
    assert contents(store) == before
    assert states(quiet.books) == {("begun", 1): len(mended), ("done", 2): len(mended)}


def test_corrections_come_back_after_the_blocks_that_they_read(fresh: Topic, store: WatchedStore) -> None:
    """Retractions, amendments, backfills, releases and a fill among events: each finds what lay before it."""
    story: list[Told] = [
        [Said(str(number), {"tokens": str(number), "user": f"u{number}"}, at=minutes(number)) for number in range(6)],
        [retract("1"), amend(Said("2", {"tokens": "5"}, at=minutes(2)))],
        [Said("7", {"tokens": "7"}), Said("1", {"tokens": "1", "user": "u1"}, at=minutes(1))],
        [backfill(Said("8", {"tokens": "8"}, at=minutes(3)))],
        [Said("8", {"tokens": "8"}, at=minutes(3)), Said("9", {"tokens": "9"})],
        [release(Said("8", {"tokens": "8"}, at=minutes(3)))],
        Filled("mtr_1", 0, 5),
        [amend(Said("1", {"tokens": "11"}, at=minutes(1))), retract("7")],
    ]
    parts = tell(fresh, [story, [copied(1, number) for number in range(3)]])
    assert audit(parts).findings == ()
    before = contents(store)
    truncate(store)

    mended, asked = mend(parts, store)

    assert messages(mended, done=False) == []
    assert [one.place["first_offset"] for one in mended] == [*range(len(story)), *range(3)]
    assert contents(store) == before
    assert asked["delete"] == 0
    truncate(store, [WINDOWS, UNIQUES])
    mended, asked = mend(parts, store)
    assert messages(mended, done=False) == []
    assert contents(store) == before


def test_leftovers_of_many_blocks_are_deleted_at_once(quiet: AuditParts, store: WatchedStore) -> None:
    """Those of blocks that were given up; others stay, and are named."""
    before = contents(store)
    with transaction(quiet.books) as connection:
        sealed = connection.execute(select(stream_blocks).where(stream_blocks.c.partition < 3)).mappings().all()
        given_up = [{**row, "incarnation": 0, "state": "abandoned", "digest": None} for row in sealed]
        connection.execute(insert(stream_blocks), given_up)
    for table in TABLES:
        store.command(f"INSERT INTO {table} SELECT * REPLACE (0 AS incarnation) FROM {table}")

    mended, asked = mend(quiet, store)

    deleted = [one for one in mended if one.kind == "leftovers" and one.done]
    assert len(deleted) == 3 * len(TABLES) * BLOCKS, messages(mended, done=False)
    assert {one.place["partition"] for one in deleted} == {0, 1, 2}
    assert {one.place["partition"] for one in mended if not one.done} == {3}
    assert "fill its hole" in messages(mended, done=False)[0]
    assert asked["delete"] == 3
    for table in TABLES:
        lose(store, table, "incarnation = 0")
    assert contents(store) == before


def test_no_generation_is_used_twice_where_holes_were_filled(books: Engine) -> None:
    """A hole's blocks are stored under tokens with its generation: theirs come after it, and it after theirs."""

    def begin(*some: Mending) -> list[int]:
        return begin_repairs(books, "topic", some)

    assert begin(Mending("block", (1, 0, 4), 5), Mending("windows", (1, 0, 20), 29)) == [1, 1]
    assert begin(Mending("hole", (1, 0, 0), 9)) == [2]
    assert begin(Mending("block", (1, 0, 4), 5), Mending("block", (1, 0, 6), 7), Mending("block", (1, 1, 4), 5)) == [
        3,
        3,
        1,
    ]
    assert begin(Mending("hole", (1, 0, 3), 6), Mending("windows", (1, 0, 20), 29)) == [4, 2]
