"""Random stories of events, corrections, fills and catalog changes against plain Python, in any cut, over crashes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import get_args

import pyarrow as pa
import pytest

from clickhouse.client import UsageStore
from ingest.event import AMEND, BACKFILL, RELEASE, RETRACT
from streams.read_back import read_as, select_list
from streams.rows import EVENTS, SCHEMAS, TABLES, UNIQUES, WINDOWS
from streams.sink import Moment
from streams.store import BlockStore, ClickHouseStore
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON, Said
from tests.streams.correction_oracle import Oracle, fates_of, plain, read
from tests.streams.stories import VARIANTS, Corrected, Deployment, Filled, Told, message_of

MOMENTS: tuple[Moment, ...] = get_args(Moment)
Rows = dict[str, list[dict[str, object]]]


class Killed(BaseException):
    """What a failpoint raises in the place of SIGKILL."""


def some_said(chance: random.Random) -> Said:
    """One of few ids, of few bodies, in one of three minutes."""
    properties = {
        "v": chance.choice(["1", "2", "-3.5", "1e2", "many"] if chance.random() < 0.2 else ["1", "2", "-3.5", "1e2"]),
        "w": chance.choice(["10", "20", "no"]),
        "u": chance.choice(["a", "b"]),
        "g": chance.choice(["x", "y"]),
    }
    for name in ("w", "g", "v"):
        if chance.random() < 0.1:
            del properties[name]
    return Said(
        str(chance.randint(1, 9)),
        properties,
        type=chance.choices(["call", "other"], [6, 1])[0],
        subject=chance.choices(["c-1", "c-2", "c-3"], [5, 3, 2])[0],
        at=NOON + timedelta(seconds=chance.choice([0, 20, 70, 130])),
    )


def some_story(chance: random.Random, length: int) -> list[Told]:
    """Messages; corrections often say again what was said before, as repeats and releases do."""
    said: list[Said] = []
    story: list[Told] = []
    for _ in range(length):
        kind = chance.random()
        if kind < 0.4:
            events = [
                chance.choice(said) if said and chance.random() < 0.3 else some_said(chance)
                for _ in range(chance.randint(1, 4))
            ]
            story.append(events)
            said += events
        elif kind < 0.9:
            story.append(some_corrections(chance, said))
        else:
            since = chance.choice([0, 0, 1])
            ids = [one.meter_id for variant in VARIANTS for one in variant.meters]
            story.append(Filled(chance.choice(ids), since, since + chance.randint(1, 3)))
    return story


def some_corrections(chance: random.Random, said: list[Said]) -> list[Corrected]:
    """One message: each id once."""
    found: dict[str, Corrected] = {}
    for _ in range(chance.randint(1, 4)):
        one = chance.choice(said) if said and chance.random() < 0.5 else some_said(chance)
        action = chance.choice([RETRACT, AMEND, AMEND, RELEASE, BACKFILL])
        found[one.id] = Corrected(action, one if action != RETRACT else Said(one.id))
        said.append(one)
    return list(found.values())


def live(deployment: Deployment, story: Sequence[Told], chance: random.Random, crashes: int) -> None:
    """Feed the story in random pieces, with catalog changes and crashes between any two steps."""
    log = [message_of(told, offset) for offset, told in enumerate(story)]
    arrived, moment = 0, failpoint_of(chance, crashes)
    partition = deployment.claim(moment, rows_max=6)
    while partition.next_offset < len(log):
        if chance.random() < 0.15:
            deployment.variants.append(chance.choice(VARIANTS))
        arrived = min(len(log), arrived + chance.randint(0, 4))
        try:
            partition.advance(log[partition.next_offset : arrived])
        except Killed:
            deployment.clock.advance(seconds=chance.choice([0, 1]))
            partition = deployment.claim(moment, rows_max=6)


def failpoint_of(chance: random.Random, crashes: int) -> Callable[[Moment], None]:
    """Dies so many times, at moments drawn as they come."""
    left = [crashes]

    def failpoint(_moment: Moment) -> None:
        if left[0] and chance.random() < 0.2:
            left[0] -= 1
            raise Killed

    return failpoint


def check(deployment: Deployment, story: Sequence[Told], rows: Rows) -> None:
    """Fates and windows are those of the oracle, which is told the cut into blocks and its catalogs."""
    oracle = Oracle(deployment.variants)
    for first, last, version in deployment.blocks():
        for number in range(first, last + 1):
            oracle.hear(story[number], number, version)
    assert fates_of(rows[EVENTS]) == oracle.fates
    expected = {name: plain(total) for name, total in oracle.windows().items()}
    assert read(rows[WINDOWS], rows[UNIQUES]) == expected


class Witness(MemoryStore):
    """Holds what comes again under a token against what came first."""

    def __init__(self) -> None:
        super().__init__()
        self._first: dict[tuple[str, str], pa.Table] = {}

    def insert(self, table: str, rows: pa.Table, token: str) -> None:
        """See ``BlockStore.insert``."""
        assert self._first.setdefault((table, token), rows).equals(rows)
        super().insert(table, rows, token)


def rows_in(store: MemoryStore) -> Rows:
    """All rows of a store in memory."""
    return {table: store.tables[table].to_pylist() for table in TABLES}


@pytest.mark.parametrize("seed", range(60))
def test_windows_are_what_the_events_that_count_add_up_to(seed: int) -> None:
    """For all aggregations, whatever was told in whatever order and cut."""
    chance = random.Random(seed)
    store = MemoryStore()
    deployment, story = Deployment(store), some_story(chance, 25)

    live(deployment, story, chance, crashes=0)

    check(deployment, story, rows_in(store))


@pytest.mark.parametrize("seed", range(30))
def test_a_crash_between_any_two_steps_changes_nothing(seed: int) -> None:
    """The rows that were first inserted under a token are those that a redo makes, to the last byte."""
    chance = random.Random(seed)
    store = Witness()
    deployment, story = Deployment(store), some_story(chance, 25)

    live(deployment, story, chance, crashes=12)

    check(deployment, story, rows_in(store))


@pytest.mark.parametrize("seed", range(4))
def test_clickhouse_answers_as_memory_does(seed: int, usage_store: UsageStore) -> None:
    """The same stories with the real store underneath, crashes included."""
    chance = random.Random(1000 + seed)
    store: BlockStore = ClickHouseStore(usage_store)
    deployment, story = Deployment(store), some_story(chance, 25)

    live(deployment, story, chance, crashes=4)

    check(deployment, story, {table: stored(usage_store, table) for table in TABLES})


def stored(usage: UsageStore, table: str) -> list[dict[str, object]]:
    """All rows of a table."""
    found = usage.query_frame(f"SELECT {select_list(SCHEMAS[table])} FROM {table} AS t")
    rows: list[dict[str, object]] = read_as(found, SCHEMAS[table]).to_pylist()
    return rows
