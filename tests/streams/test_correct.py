"""Corrections: every action on every state of a key, and what windows then hold."""

from __future__ import annotations

from dataclasses import replace

import pytest

from ingest.event import event_key
from streams.block import Counts
from streams.history import Before
from streams.plan import Intent
from streams.rows import EVENTS, WINDOWS
from streams.store_memory import MemoryStore
from tests.streams.builders import NOON, Said, minutes
from tests.streams.correction_oracle import fates_of
from tests.streams.stories import (
    Corrected,
    Deployment,
    Filled,
    Told,
    amend,
    backfill,
    message_of,
    release,
    retract,
)

GOOD = Said("1", {"v": "5", "u": "a", "g": "x"})
OTHER = Said("1", {"v": "7", "u": "b", "g": "x"})
STRANGE = Said("1", {"v": "5", "u": "a"}, subject="nobody")
STRANGE_OTHER = Said("1", {"v": "6", "u": "a"}, subject="nobody")
BAD = Said("1", {"v": "many", "u": "a"})

STATES: dict[str, list[Told]] = {
    "counted": [[GOOD]],
    "waiting": [[STRANGE]],
    "gone": [[GOOD], [retract("1")]],
    "nothing": [],
    # The same by other ways.
    "counted by an amendment": [[OTHER], [amend(GOOD)]],
    "counted again": [[OTHER], [retract("1")], [amend(GOOD)]],
    "waiting in a backfill": [[backfill(STRANGE)]],
    "gone while it waited": [[STRANGE], [retract("1")]],
    "nothing but an unknown retraction": [[retract("1")]],
    "nothing but an unknown amendment": [[amend(GOOD)]],
}

TABLE = """
counted    retract  -        retraction
counted    amend    same     duplicate
counted    amend    other    stored
counted    amend    strange  rejected unknown_customer
counted    amend    bad      rejected value_not_numeric
counted    release  same     duplicate
counted    release  other    duplicate
counted    backfill same     duplicate
counted    backfill other    conflict
waiting    retract  -        retraction
waiting    amend    other    stored
waiting    amend    strange  held unknown_customer
waiting    amend    bad      rejected value_not_numeric
waiting    release  other    duplicate
waiting    release  same     duplicate
waiting    backfill same     duplicate
waiting    backfill other    conflict
gone       retract  -        duplicate
gone       amend    same     stored
gone       amend    other    stored
gone       amend    strange  rejected unknown_customer
gone       amend    bad      rejected value_not_numeric
gone       release  same     duplicate
gone       backfill other    held backfill
gone       backfill strange  held backfill
gone       backfill bad      rejected value_not_numeric
nothing    retract  -        held unknown_event
nothing    amend    same     held unknown_event
nothing    amend    bad      held unknown_event
nothing    release  same     duplicate
nothing    backfill same     held backfill
nothing    backfill strange  held backfill
nothing    backfill bad      rejected value_not_numeric
"""
CASES = [
    pytest.param(name, *line.split(maxsplit=3)[1:], id=f"{name}-{'-'.join(line.split()[1:3])}")
    for name in STATES
    for line in TABLE.strip().splitlines()
    if name.startswith(line.split()[0])
]
ACTIONS = {"amend": amend, "release": release, "backfill": backfill}


def asked(state: str, action: str, content: str) -> Corrected:
    """The correction of one line of the table."""
    if action == "retract":
        return retract("1")
    same = STRANGE if state.startswith("waiting") else GOOD
    strange = STRANGE_OTHER
    return ACTIONS[action]({"same": same, "other": OTHER, "strange": strange, "bad": BAD}[content])


@pytest.mark.parametrize(("state", "action", "content", "expected"), CASES)
def test_each_action_on_each_state(state: str, action: str, content: str, expected: str) -> None:
    """The fate and reason that the table says, in exactly one row."""
    store = MemoryStore()
    deployment = Deployment(store)
    deployment.tell(*STATES[state])
    before = store.tables[EVENTS].num_rows

    deployment.tell([asked(state, action, content)])

    assert store.tables[EVENTS].num_rows == before + 1
    fate, reason = fates_of(store.tables[EVENTS].to_pylist())[-1]
    assert f"{fate} {reason}".strip() == expected
    block = deployment.ledger.partitions["usage", 0].blocks[-1]
    assert block.seal is not None
    counts = block.seal.counts
    assert counts.received == 1
    assert (
        counts.stored + counts.duplicates + counts.conflicts + counts.held + counts.rejected + counts.retractions == 1
    )
    assert len(block.seal.dead_letters) == counts.rejected


def test_a_second_delivery_is_left_out_whole() -> None:
    """Corrections and fills alike: the journal may bring a message again."""
    store = MemoryStore()
    deployment = Deployment(store)
    deployment.tell([GOOD], [retract("1")], Filled("mtr_mer_a_sum", 0, 5))
    before = {table: rows.num_rows for table, rows in store.tables.items()}
    partition = deployment.claim()
    log = [message_of([retract("1")], 1), message_of(Filled("mtr_mer_a_sum", 0, 5), 2)]
    again = [replace(message, offset=3 + place) for place, message in enumerate(log)]

    first, second = (partition.advance([message]).counts for message in again)

    assert first == Counts(redelivered=1)
    assert second == Counts()
    assert {table: rows.num_rows for table, rows in store.tables.items()} == before
    assert len(deployment.ledger.fills(partition.claimed.lease)) == 1


def test_a_fill_measures_a_busy_span_in_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    """With the rows that it makes of all at once."""
    rows = []
    for at_once in (200_000, 1):
        monkeypatch.setattr("streams.fill.EVENTS_AT_ONCE", at_once)
        store = MemoryStore()
        events = [Said(str(n), {"v": str(n), "u": "a", "g": "x"}, at=minutes(n // 3)) for n in range(12)]
        Deployment(store).tell(events, [retract("4")], Filled("mtr_mer_a_last", 0, 3))
        rows.append(store.tables[WINDOWS].to_pylist())

    assert rows[0] == rows[1]
    assert sum(row["restates"] for row in rows[0] if row["meter"] == "last") > 1


def test_rows_of_given_up_blocks_are_not_looked_at() -> None:
    """An insert that ended after its block was given up leaves rows of events that nobody sealed."""
    store = MemoryStore()
    deployment = Deployment(store)
    deployment.tell([GOOD])
    deployment.tell([OTHER])
    intent = Intent(1, 0, 0, 0, NOON)
    before = Before(0, NOON.replace(year=2024), (intent,))

    key = event_key("mer_a", "", "1")
    found = store.history.rows_of(before, ["mer_a"], [key])

    assert store.tables[EVENTS].num_rows == 2
    assert [row["block_first"] for row in found.to_pylist()] == [1]
