"""Audits of a real line: clean, tampered with in every store, and mended."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Engine, text

from core.db import transaction
from core.errors import Conflict
from runtime.audit.keep import keep_report, last_cutoff, last_reports
from runtime.audit.mended import Mended
from runtime.audit.read_rows import read_rows
from runtime.audit.rebuild import digest_of_rows
from runtime.audit.repair import repair
from runtime.audit.run import AuditParts, Report, audit
from runtime.audit.schedule import audit_next, next_start
from tests.runtime.audit.conftest import Stream

DELETE_ONE = """
    ALTER TABLE {table} DELETE WHERE (merchant_id, block_first, partition, {name}) IN (
        SELECT merchant_id, block_first, partition, {name} FROM {table} WHERE {where} ORDER BY {name} LIMIT 1)
    SETTINGS mutations_sync = 2
"""


def codes(report: Report) -> list[str]:
    """What an audit found, in order, each kind once."""
    return list(dict.fromkeys(finding.code for finding in report.findings))


def mend(parts: AuditParts, report: Report) -> list[Mended]:
    """Repair, and be sure that every repair was done and that nothing differs afterwards."""
    mended = repair(parts, report)
    assert [one.message for one in mended if not one.done] == []
    assert audit(parts).findings == ()
    return mended


def write(books: Engine, statement: str, **bound: Any) -> None:
    """Change the books behind everybody's back."""
    with transaction(books) as connection:
        assert connection.execute(text(statement), bound).rowcount > 0


def delete_one(parts: AuditParts, table: str, name: str, where: str = "1") -> None:
    """Lose one row."""
    parts.store.command(DELETE_ONE.format(table=table, name=name, where=where))


def test_a_clean_line_has_no_findings_and_every_figure_agrees(audited: AuditParts, streamed: Stream) -> None:
    """All blocks have their digest and equal the log; the figures are the sender's; the result is kept."""
    ledger = streamed(6_000)

    report = audit(audited)

    assert report.findings == ()
    assert report.notes == ()
    figures = report.figures
    assert figures["received"] == figures["log_events"] == ledger.accepted
    assert figures["blocks"] == figures["blocks_checked"] == figures["blocks_in_log"] > 0
    fates = ("stored", "duplicates", "conflicts", "held", "rejected")
    assert sum(figures[fate] for fate in fates) == ledger.accepted
    assert figures["messages_behind"] == 0
    keep_report(audited.books, report)
    with transaction(audited.books) as connection:
        assert last_reports(connection, audited.topic) == [report]
        assert last_cutoff(connection, audited.topic, whole_only=True) == report.cutoff


def test_lost_and_changed_windows_are_named_and_made_again(audited: AuditParts, streamed: Stream) -> None:
    """A window lost, one changed and a distinct value lost: the first difference is named with events behind it."""
    streamed(4_000)
    before = digests(audited)
    delete_one(audited, "usage_windows", "window_start", "aggregation = 'latest'")
    delete_one(audited, "usage_uniques", "value")
    audited.store.command(
        "ALTER TABLE usage_windows UPDATE sum = sum + toDecimal128('0.000000000001', 12) "
        "WHERE aggregation = 'sum' AND partition = 3 SETTINGS mutations_sync = 2"
    )

    report = audit(audited)

    first = report.findings[0]
    assert first.code == "windows_differ"
    assert first.repair == "windows"
    assert first.merchant_id.startswith("mer_")
    assert len(first.events) >= 1
    assert {"meter_differs", "charge_differs"} <= set(codes(report))
    mended = mend(audited, report)
    assert "generation 1" in mended[0].message
    assert digests(audited) == before


def test_repairs_repeat_wait_for_closes_and_run_alone(audited: AuditParts, streamed: Stream) -> None:
    """Each repair has a token of its own, so that the store does not swallow the second as a repeat of the first.

    A close that was cut short has read usage, which must not change under it; and repairs take turns.
    """
    streamed(2_000)
    for generation in (1, 2):
        lose_windows(audited)
        messages = [one.message for one in mend(audited, audit(audited))]
        assert any(f"generation {generation}" in message for message in messages)
    lose_windows(audited)
    report = audit(audited)
    write(audited.books, "UPDATE rating_runs SET state = 'claimed', recorded_at = NULL")
    refused = repair(audited, report)
    assert {one.done for one in refused} == {False}
    assert "finish it first" in refused[0].message
    write(audited.books, "UPDATE rating_runs SET state = 'recorded', recorded_at = now()")
    with transaction(audited.books) as connection:
        name = f"millrace repair {audited.topic}"
        connection.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": name})
        with pytest.raises(Conflict, match="another repair"):
            repair(audited, report)
    mend(audited, report)


def lose_windows(parts: AuditParts) -> None:
    """Delete the windows of one block."""
    parts.store.command(
        "ALTER TABLE usage_windows DELETE WHERE partition = 0 AND block_first = 0 SETTINGS mutations_sync = 2"
    )


def test_lost_events_come_back_from_the_log_as_they_were_sealed(audited: AuditParts, streamed: Stream) -> None:
    """An event that vanished from the store is named, and its block made again from the log, digest and all."""
    streamed(3_000)
    before = digests(audited)
    lost = str(audited.store.query_frame("SELECT min(event_id) AS id FROM usage_events WHERE fate = 'stored'")["id"][0])
    audited.store.command(
        "ALTER TABLE usage_events DELETE WHERE event_id = {lost:String} SETTINGS mutations_sync = 2", {"lost": lost}
    )

    report = audit(audited)

    assert codes(report)[:2] == ["events_differ", "block_unlike_log"]
    assert report.findings[0].events == (lost,)
    assert report.findings[0].repair == "block"
    assert "fates_differ" in codes(report)
    mend(audited, report)
    assert digests(audited) == before


def test_everything_comes_back_from_the_log_in_one_repair(audited: AuditParts, streamed: Stream) -> None:
    """Emptied tables are made again block by block: copies are copies only once the blocks before are back."""
    streamed(2_000)
    streamed(2_000)
    assert audit(audited).figures["duplicates"] > 1_900
    before = digests(audited)
    for table in ("usage_events", "usage_windows", "usage_uniques"):
        audited.store.command(f"TRUNCATE TABLE {table}")

    report = audit(audited)

    assert len(mend(audited, report)) == report.figures["blocks"] > 4
    assert digests(audited) == before


def test_a_hole_in_the_ledger_is_filled_from_the_log_without_counting_anything_twice(
    audited: AuditParts, streamed: Stream
) -> None:
    """A block that the ledger lost is read again by another consumer; totals and bills are as before."""
    ledger = streamed(5_000)
    before = audit(audited).figures
    block = "(topic, partition, first_offset) = (:topic, 2, 0)"
    write(audited.books, f"DELETE FROM stream_blocks WHERE {block}", topic=audited.topic)

    report = audit(audited)

    assert report.findings[0].code == "hole"
    assert report.findings[0].place["first_offset"] == 0
    assert "rows_without_block" in codes(report)
    done = [one for one in repair(audited, report) if one.done]
    assert [one.kind for one in done] == ["hole"]
    after = audit(audited)
    assert after.figures["received"] == ledger.accepted
    assert after.figures["stored"] == before["stored"]
    # What was billed was stored before the cut-off, and now after it: the auditor says that too.
    assert set(codes(after)) <= {"charge_differs"}
    repeated = streamed(5_000)
    # The worker was told to start again, and knows the keys of the hole: all that is sent again is a repeat.
    again = audit(audited)
    assert again.figures["received"] == ledger.accepted + repeated.accepted
    assert again.figures["stored"] == before["stored"]
    assert "event_doubled" not in codes(again)


def test_what_cannot_be_mended_is_named_and_left_alone(audited: AuditParts, streamed: Stream) -> None:
    """Bills tampered with, a second counted copy, rows of nobody, offsets that the log never had: all are named."""
    streamed(2_000)
    write(audited.books, "UPDATE charge_lines SET quantity = quantity + 1 WHERE subject = 'c-000001' AND events > 0")
    write(audited.books, "UPDATE invoices SET total_minor = total_minor + 1 WHERE subject = 'c-000002'")

    report = audit(audited)

    assert codes(report) == ["charge_differs", "invoices_differ"]
    assert report.findings[0].place["customer_id"].startswith("cus_")
    assert len(report.findings[0].events) > 0
    audited.store.command(
        "INSERT INTO usage_events SELECT * REPLACE (1000000 AS block_first) FROM usage_events "
        "WHERE fate = 'stored' ORDER BY event_id LIMIT 1"
    )
    write(
        audited.books,
        "UPDATE stream_partitions SET next_offset = next_offset + 2 WHERE topic = :topic AND partition = 1",
        topic=audited.topic,
    )
    report = audit(audited)
    assert codes(report)[:4] == ["hole", "log_shorter", "rows_without_block", "event_doubled"]
    doubled = next(finding for finding in report.findings if finding.code == "event_doubled")
    assert len(doubled.place["places"]) == 2
    assert {one.done for one in repair(audited, report)} == {False}


def test_scheduled_audits_look_at_everything_first_and_then_at_what_is_new(
    audited: AuditParts, streamed: Stream
) -> None:
    """After a clean audit of everything the next begins an hour before its cut-off; a finding holds it back."""
    streamed(1_000)
    first = audit_next(audited)
    second = audit_next(audited)
    assert first.since is None
    assert second.since is not None
    assert second.since < first.cutoff
    assert second.findings == ()
    delete_one(audited, "usage_windows", "window_start")
    third = audit_next(audited)
    assert third.findings[0].code == "windows_differ"
    assert next_start(audited, audited.clock.now()) == third.since


def digests(parts: AuditParts) -> list[str]:
    """The digest of every block's rows, as they are stored now."""
    places = parts.store.query_frame(
        "SELECT DISTINCT incarnation, partition, block_first FROM usage_events ORDER BY ALL"
    )
    return [
        digest_of_rows(read_rows(parts.store, incarnation, partition, first, first))
        for incarnation, partition, first in places.iter_rows()
    ]
