"""Corrections: every action on every state of a key, and what windows then hold."""

from __future__ import annotations

import pytest

from streams.rows import EVENTS
from streams.store_memory import MemoryStore
from tests.streams.builders import Said
from tests.streams.correction_oracle import fates_of
from tests.streams.stories import (
    Corrected,
    Deployment,
    Told,
    amend,
    backfill,
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
