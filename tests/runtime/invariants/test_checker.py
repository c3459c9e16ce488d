"""The checker of I1 to I9 on a real stack with all its doors: clean, and with each invariant broken in turn."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import text

from core.clock import SystemClock
from core.db import transaction
from runtime.audit.keep import last_reports
from runtime.close import close_books
from runtime.commands.demo import connected
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import Parts, ignore_step
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.ports import free_ports
from runtime.settings import Settings, StackSettings, load_settings
from runtime.stack import running_stack
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.usage import month_of
from tests.checker.check import check_all
from tests.runtime.traffic_thread import TrafficThread

ROOT = Path(__file__).parents[3]


@dataclass
class Running:
    """A stack that has billed a month of traffic."""

    parts: Parts
    settings: Settings
    env: dict[str, str]
    ledger: SimulatorLedger

    def broken(self) -> set[str]:
        """The invariants that do not hold."""
        results = check_all(self.ledger, self.settings, caught_up_within_s=0, close_again=False)
        return {result.name for result in results if not result.holds}

    def write(self, statement: str) -> None:
        """Change the books behind everybody's back."""
        with transaction(self.parts.books) as connection:
            assert connection.execute(text(statement)).rowcount > 0


@pytest.fixture
def running(
    tmp_path: Path, endpoints: Endpoints, postgres_url: str, clickhouse_url: str, topic: str
) -> Iterator[Running]:
    """Gateway, worker, API and auditor on the engines of the session."""
    gateway_port, api_port = free_ports(2)
    stack_settings = StackSettings(
        home=tmp_path / "home",
        gateway_port=gateway_port,
        kafka_port=0,
        clickhouse_port=0,
        postgres_port=0,
        kafka=endpoints.kafka,
        clickhouse_url=clickhouse_url,
        postgres_url=postgres_url,
        topic=topic,
        partitions=4,
        api_port=api_port,
        audit_every_s=1,
    )
    env = {"MILLRACE_HOME": str(stack_settings.home), "MILLRACE_TOPIC": topic}
    with running_stack(stack_settings) as stack, connected(stack) as parts:
        plan = plan_for_last_month(datetime.now(UTC), events=8_000, merchants=4, customers=6, invalid_share=0.01)
        ledger = SimulatorLedger(plan, tmp_path / "ledger.json")
        TrafficThread(ledger, parts.gateway_url, prepare_traffic(parts.books, parts.store, plan)).finish()
        wait_until_drained(parts.books, parts.admin, parts.topic, SystemClock(), acknowledged=ledger.accepted)
        close_books(parts.books, parts.store, SystemClock(), month_of(plan).isoformat()[:7], on_step=ignore_step)
        yield Running(parts, load_settings(env), env, ledger)


# What is done, how it is undone, and the invariants that it breaks.
BREAKING = [
    (
        "UPDATE charge_lines SET quantity = quantity + 1 WHERE subject = 'c-000001' AND meter = 'seats'",
        "UPDATE charge_lines SET quantity = quantity - 1 WHERE subject = 'c-000001' AND meter = 'seats'",
        {"I3", "I4"},
    ),
    (
        "UPDATE invoices SET total_minor = total_minor + 1 WHERE subject = 'c-000002'",
        "UPDATE invoices SET total_minor = total_minor - 1 WHERE subject = 'c-000002'",
        {"I5"},
    ),
    (
        "UPDATE stream_partitions SET next_offset = next_offset + 1 WHERE partition = 1",
        "UPDATE stream_partitions SET next_offset = next_offset - 1 WHERE partition = 1",
        {"I6", "I8"},
    ),
    (
        "UPDATE stream_blocks SET received = received + 1, stored = stored + 1 WHERE partition = 2",
        "UPDATE stream_blocks SET received = received - 1, stored = stored - 1 WHERE partition = 2",
        {"I9"},
    ),
]


def test_all_invariants_hold_and_each_is_seen_to_break(running: Running) -> None:
    """The program itself says so with a row for each; then each store is tampered with, and the right ones break."""
    command = [sys.executable, "-m", "tests.checker", str(running.ledger.path), "--home", running.env["MILLRACE_HOME"]]
    env = {**os.environ, "MILLRACE_TOPIC": running.env["MILLRACE_TOPIC"]}
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True, check=False, timeout=200)
    assert done.returncode == 0, done.stdout + done.stderr
    assert [line[:10] for line in done.stdout.splitlines()] == [f"I{number}  holds " for number in range(1, 10)]
    with transaction(running.parts.books) as connection:
        scheduled = last_reports(connection, running.parts.topic, 100)
    assert scheduled, "the auditor of the stack looks every second"
    assert [report.findings for report in scheduled if not report.ok] == []
    for change, undo, names in BREAKING:
        running.write(change)
        assert running.broken() == names, change
        running.write(undo)
    lose_one_event_and_double_another(running)


def lose_one_event_and_double_another(running: Running) -> None:
    """I1 tells of both, by id; windows and counts tell too."""
    store = running.parts.store
    ids = store.query_frame("SELECT event_id FROM usage_events WHERE fate = 'stored' ORDER BY event_id LIMIT 2")
    lost, doubled = ids["event_id"].to_list()
    store.command(
        "ALTER TABLE usage_events DELETE WHERE event_id = {id:String} SETTINGS mutations_sync = 2", {"id": lost}
    )
    store.command(
        "INSERT INTO usage_events SELECT * FROM usage_events WHERE event_id = {id:String} LIMIT 1", {"id": doubled}
    )
    store.command("ALTER TABLE usage_windows UPDATE sum = sum + 1 WHERE meter = 'tokens' SETTINGS mutations_sync = 2")
    results = {
        result.name: result
        for result in check_all(running.ledger, running.settings, caught_up_within_s=0, close_again=False)
    }
    assert any(lost in fault and "lost" in fault for fault in results["I1"].faults)
    assert any(doubled in fault and "more than once" in fault for fault in results["I1"].faults)
    assert any("tokens" in fault for fault in results["I3"].faults)
    assert not results["I4"].holds
    assert results["I7"].holds
