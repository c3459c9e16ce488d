from __future__ import annotations

from datetime import UTC, datetime

import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from runtime.close import close_books
from runtime.conservation.acknowledged import acknowledged_faults
from runtime.conservation.check import check_conservation
from runtime.conservation.drain import measure_backlog, wait_until_drained
from runtime.demo.run import Parts, compare_all, ignore_step
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.usage import month_of
from tests.runtime.traffic_thread import TrafficThread

# Beyond every offset.
FAR = 1_000_000


def streamed(line: Parts, events: int) -> SimulatorLedger:
    """A ledger whose plan was sent and stored."""
    plan = plan_for_last_month(datetime.now(UTC), events=events, merchants=3, customers=5, conflict_share=0.005)
    keys = prepare_traffic(line.books, line.store, plan)
    ledger = TrafficThread(SimulatorLedger(plan), line.gateway_url, keys).finish()
    wait_until_drained(line.books, line.admin, line.topic, SystemClock(), acknowledged=ledger.accepted)
    return ledger


def write(books: Engine, statement: str) -> None:
    """Change the books behind everybody's back."""
    with transaction(books) as connection:
        assert connection.execute(text(statement)).rowcount > 0


def faults(line: Parts) -> str:
    """Everything that the check finds."""
    return "\n".join(check_conservation(line.books, line.store, line.topic).faults)


# Each: what is done to the books, how it is undone, and the words by which the check tells of it.
TAMPERING = [
    (
        "UPDATE stream_blocks SET stored = stored - 1, held = held + 1 WHERE first_offset = 0 AND partition = 0",
        "UPDATE stream_blocks SET stored = stored + 1, held = held - 1 WHERE first_offset = 0 AND partition = 0",
        "block 0 of incarnation 1, partition 0: ledger",
    ),
    (
        "UPDATE stream_partitions SET next_offset = next_offset + 1 WHERE partition = 1",
        "UPDATE stream_partitions SET next_offset = next_offset - 1 WHERE partition = 1",
        "partition 1 stands at",
    ),
    (
        f"UPDATE stream_blocks SET first_offset = {FAR}, last_offset = last_offset + {FAR} WHERE first_offset = 0",
        f"UPDATE stream_blocks SET first_offset = 0, last_offset = last_offset - {FAR} WHERE first_offset = {FAR}",
        "hole in incarnation 1, partition 2",
    ),
    (
        "UPDATE charge_lines SET quantity = quantity + 1 WHERE subject = 'c-000001' AND meter = 'seats'",
        "UPDATE charge_lines SET quantity = quantity - 1 WHERE subject = 'c-000001' AND meter = 'seats'",
        "was charged",
    ),
    (
        "UPDATE invoice_lines SET unrounded = unrounded + 0.001 WHERE position = 1",
        "UPDATE invoice_lines SET unrounded = unrounded - 0.001 WHERE position = 1",
        "charge lines are not on an invoice as they are",
    ),
    (
        "UPDATE invoices SET total_minor = total_minor + 1 WHERE subject = 'c-000002'",
        "UPDATE invoices SET total_minor = total_minor - 1 WHERE subject = 'c-000002'",
        "invoices do not add up",
    ),
    (
        "UPDATE invoice_sequences SET next_number = next_number + 1",
        "UPDATE invoice_sequences SET next_number = next_number - 1",
        "have a gap",
    ),
]


def test_the_check_agrees_with_the_simulator_and_finds_every_kind_of_tampering(line: Parts) -> None:
    """From the door to the invoice nothing differs; then each store is changed in turn, and the check tells."""
    ledger = streamed(line, 20_000)
    period = month_of(ledger.plan).isoformat()[:7]
    close_books(line.books, line.store, SystemClock(), period, on_step=ignore_step)
    outcome = compare_all(line, ledger, period, 1.0)
    assert outcome.differences == ()
    assert outcome.conservation.faults == ()
    assert outcome.summary(2.0)["conservation"] == "ok"
    assert min(outcome.conservation.totals.conflicts, outcome.conservation.totals.duplicates) > 10
    for change, undo, words in TAMPERING:
        write(line.books, change)
        assert words in faults(line), change
        write(line.books, undo)
        assert faults(line) == "", undo
    tamper_with_events(line, ledger)


def tamper_with_events(line: Parts, ledger: SimulatorLedger) -> None:
    """A stored event copied, and one deleted: events, windows and the list of acknowledged ids all tell."""
    columns = "* REPLACE (position + 1000000 AS position)"
    line.store.command(
        f"INSERT INTO usage_events SELECT {columns} FROM usage_events WHERE fate = 'stored' ORDER BY event_id LIMIT 1"
    )
    assert "1 events are stored more than once" in faults(line)
    assert "is stored more than once" in acknowledged_faults(line.store, ledger)[0]
    lost = first_stored(line.store)
    line.store.command(
        "ALTER TABLE usage_events DELETE WHERE event_id = {lost:String} SETTINGS mutations_sync = 2", {"lost": lost}
    )
    told = faults(line)
    assert "block" in told
    assert "windows count" in told
    assert acknowledged_faults(line.store, ledger) == [f"event {lost} was acknowledged and is not stored"]


def first_stored(store: UsageStore) -> str:
    """The first stored event's id."""
    frame = store.query_frame("SELECT min(event_id) AS id FROM usage_events WHERE fate = 'stored'")
    return str(frame["id"][0])


def test_waiting_ends_only_when_the_log_is_sealed_to_its_end(line: Parts) -> None:
    """The backlog is empty then, and waiting for one event more than were sent gives up and says so."""
    ledger = streamed(line, 2_000)
    backlog = measure_backlog(line.books, line.admin, line.topic)
    assert backlog.messages_behind == 0
    assert backlog.received == ledger.accepted
    with pytest.raises(Exception, match=f"{ledger.accepted:,} of {ledger.accepted + 1:,} events are sealed"):
        wait_until_drained(
            line.books,
            line.admin,
            line.topic,
            SystemClock(),
            acknowledged=ledger.accepted + 1,
            time_limit_s=0.5,
        )
