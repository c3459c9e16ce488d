"""``millrace replay``: the windows are made again from the events, into the very bytes that they were."""

from __future__ import annotations

import pytest

from core.errors import Conflict, Refused
from runtime.audit.repair_ledger import sole_repair
from runtime.audit.run import AuditParts, audit
from tests.runtime.audit.conftest import Stream
from tests.runtime.replay.replayed import WINDOWS, rows_of, run, run_json, same_rows, truncate

DAMAGE_BLOCK = "ALTER TABLE {table} DELETE WHERE partition = 0 AND block_first = 0 SETTINGS mutations_sync = 2"


def test_windows_that_were_truncated_come_back_byte_for_byte(audited: AuditParts, streamed: Stream) -> None:
    """All rows, with times of storing; an audit says what it said before, and a second replay finds nothing to do."""
    streamed(3_000)
    before, findings = rows_of(audited), audit(audited).findings
    assert all(frame.height > 100 for frame in before.values())
    truncate(audited)

    code, checked = run_json("--check")
    assert (code, checked["equal"], checked["replaced"]) == (1, 0, 0)
    assert checked["differing"] == checked["blocks"] > 0
    code, said = run_json()
    assert (code, said["replaced"], said["damaged"]) == (0, checked["blocks"], [])
    assert said["events"] == checked["events"] > 2_900

    assert same_rows(audited, before)
    assert audit(audited).findings == findings
    code, again = run_json()
    assert (code, again["equal"], again["replaced"]) == (0, again["blocks"], 0)


def test_many_passes_come_to_the_same(audited: AuditParts, streamed: Stream, monkeypatch: pytest.MonkeyPatch) -> None:
    """Passes of a block or two, of which only some have lost their rows; what is right is not written again."""
    streamed(2_000)
    before = rows_of(audited)
    for table in WINDOWS:
        audited.store.command(f"ALTER TABLE {table} DELETE WHERE partition = 1 SETTINGS mutations_sync = 2")
        audited.store.command(DAMAGE_BLOCK.format(table=table))
    monkeypatch.setattr("runtime.replay.choose.BYTES_AT_ONCE", 60_000)
    monkeypatch.setattr("runtime.replay.write.EVENTS_AT_ONCE", 100)

    code, checked = run_json("--check")
    assert code == 1 and checked["differing"] > 1 and checked["damaged"] == []
    code, said = run_json()
    assert (code, said["replaced"], said["equal"]) == (0, checked["differing"], checked["equal"])
    assert same_rows(audited, before)
    assert run_json("--check")[1]["equal"] == said["blocks"]


def test_only_blocks_with_events_of_the_span_and_merchant_are_made_again(audited: AuditParts, streamed: Stream) -> None:
    """Others are not looked at; what is right is not written."""
    streamed(1_000)
    before = rows_of(audited)
    first = audited.store.query_frame(
        "SELECT toString(min(occurred_at)) AS at FROM usage_events WHERE partition = 0 AND block_first = 0"
    )["at"][0]
    for table in WINDOWS:
        audited.store.command(DAMAGE_BLOCK.format(table=table))

    assert run_json("--to", "2001-01-01")[1]["blocks"] == 0
    code, elsewhere = run_json("--partition", "1")
    assert (code, elsewhere["differing"]) == (0, 0)
    with pytest.raises(Refused, match="no merchant 'nobody'"):
        run("--merchant", "nobody")
    with pytest.raises(Refused, match="must lie before"):
        run("--from", "2001-01-02", "--to", "2001-01-01")
    code, shown = run("--from", first, "--merchant", "sim-0000", "--check")
    assert code == 1 and "1 differ" in shown and "millrace replay" in shown
    code, said = run_json("--from", first, "--merchant", "sim-0000")
    assert (code, said["replaced"], said["equal"]) == (0, 1, said["blocks"] - 1)

    assert same_rows(audited, before)


def test_a_block_whose_events_are_damaged_is_left_as_it_is(audited: AuditParts, streamed: Stream) -> None:
    """Nothing proves its windows any more; the answer points to the repair of events."""
    streamed(1_000)
    before = rows_of(audited)
    audited.store.command(
        "ALTER TABLE usage_events DELETE WHERE partition = 0 AND block_first = 0 AND position = 0"
        " SETTINGS mutations_sync = 2"
    )

    code, said = run_json()
    assert (code, said["ok"], said["replaced"]) == (1, False, 0)
    assert [(place["partition"], place["first_offset"]) for place in said["damaged"]] == [(0, 0)]
    assert "millrace audit --repair" in run("--check")[1]

    assert same_rows(audited, before)


def test_a_replay_waits_for_no_other_repair(audited: AuditParts) -> None:
    """Two would delete each other's rows: the second does nothing and says so; a check is harmless."""
    with sole_repair(audited.books, audited.topic), pytest.raises(Conflict, match="another repair"):
        run()
    with sole_repair(audited.books, audited.topic):
        assert run("--check")[0] == 0
