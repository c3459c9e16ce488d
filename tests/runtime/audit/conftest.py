"""A line that has streamed and billed a month, and what an audit of it needs."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

import pytest

from core.clock import SystemClock
from runtime.audit.log import LogReader
from runtime.audit.run import AuditParts
from runtime.close import close_books
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import Parts, ignore_step
from runtime.embedded.endpoints import Endpoints
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import plan_for_last_month
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.usage import month_of
from tests.runtime.traffic_thread import TrafficThread

Stream = Callable[[int], SimulatorLedger]


@pytest.fixture
def audited(line: Parts, endpoints: Endpoints) -> AuditParts:
    """The line's stores and log, as the auditor sees them."""
    clock = SystemClock()
    reader = LogReader(endpoints.kafka, line.admin, line.topic, clock)
    return AuditParts(line.books, line.store, reader, line.topic, clock)


@pytest.fixture
def streamed(line: Parts) -> Stream:
    """Sends a plan of so many events, waits until all are stored, and closes their month."""

    def stream(events: int) -> SimulatorLedger:
        plan = plan_for_last_month(datetime.now(UTC), events=events, merchants=3, customers=5, invalid_share=0.004)
        keys = prepare_traffic(line.books, line.store, plan)
        ledger = TrafficThread(SimulatorLedger(plan), line.gateway_url, keys).finish()
        wait_until_drained(line.books, line.admin, line.topic, SystemClock(), acknowledged=ledger.accepted)
        close_books(line.books, line.store, SystemClock(), month_of(plan).isoformat()[:7], on_step=ignore_step)
        return ledger

    return stream
