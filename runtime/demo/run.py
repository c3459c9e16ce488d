"""The steps of the demonstration on a running stack, from an empty catalog to checked invoices."""

from __future__ import annotations

from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from runtime.close import close_books
from runtime.conservation.acknowledged import acknowledged_faults
from runtime.conservation.check import Conservation, check_conservation
from runtime.conservation.drain import Backlog, wait_until_drained
from runtime.demo.billed import BilledInvoice, billed_events, billed_invoices, billed_lines
from runtime.demo.compare import fate_differences, invoice_differences, line_differences
from runtime.traffic.account import Account, account_of
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.oracle import expected_invoices, totals_by_currency
from runtime.traffic.prepare import prepare_traffic
from runtime.traffic.send import SendOptions, send_plan
from runtime.traffic.usage import month_of, usage_of


@dataclass(frozen=True, slots=True)
class Parts:
    """The running stack that the demonstration is made on."""

    books: Engine
    store: UsageStore
    admin: AdminClient
    gateway_url: str
    topic: str


class Watcher(Protocol):
    """Who shows the demonstration's progress."""

    def step(self, name: str) -> None:
        """A step begins."""

    def sent(self, events: int) -> None:
        """So many more events were answered."""

    def stored(self, backlog: Backlog) -> None:
        """So far the stream has come."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of it. ``differences`` is empty when every number agrees with the simulator's own account."""

    account: Account
    conservation: Conservation
    invoices: list[BilledInvoice]
    billed_events: int
    period: str
    stream_seconds: float
    differences: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return self.conservation.ok and not self.differences

    def summary(self, seconds: float) -> dict[str, Any]:
        """The last line's numbers. ``rejected`` are events refused at the door or set aside behind it.

        ``total`` is by currency, in major units. ``events_per_second`` counts from the first byte sent until the
        last event was stored and accounted for; ``seconds`` is the whole demonstration.
        """
        account, totals = self.account, self.conservation.totals
        return {
            "sent": account.sent,
            "accepted": account.accepted,
            "unique": account.stored,
            "duplicates": totals.duplicates,
            "conflicts": totals.conflicts,
            "held": totals.held,
            "rejected": account.refused + totals.rejected,
            "stored": totals.stored,
            "billed_events": self.billed_events,
            "invoices": len(self.invoices),
            "total": {currency: str(total) for currency, total in sums(self.invoices).items()},
            "events_per_second": round(account.sent / self.stream_seconds),
            "seconds": round(seconds, 1),
            "conservation": "ok" if self.ok else "broken",
        }


def run_demo(parts: Parts, ledger: SimulatorLedger, clock: Clock, watcher: Watcher) -> Outcome:
    """Apply the catalog, send the ledger's plan, wait until all is in, close the month and compare everything."""
    plan, period = ledger.plan, month_of(ledger.plan).isoformat()[:7]
    watcher.step("catalog")
    keys = prepare_traffic(parts.books, parts.store, plan)
    watcher.step("send")
    start_s = clock.steady_s()
    send_plan(ledger, SendOptions(parts.gateway_url, keys), clock, watcher.sent)
    watcher.step("store")
    wait_until_drained(
        parts.books,
        parts.admin,
        parts.topic,
        clock,
        acknowledged=ledger.accepted,
        on_progress=watcher.stored,
    )
    stream_seconds = clock.steady_s() - start_s
    watcher.step("close")
    close_books(parts.books, parts.store, clock, period, on_step=ignore_step)
    watcher.step("check")
    return compare_all(parts, ledger, period, stream_seconds)


def compare_all(parts: Parts, ledger: SimulatorLedger, period: str, stream_seconds: float) -> Outcome:
    """Hold the stores against each other, and against what the simulator says must be in them."""
    account, stored = account_of(ledger)
    usage = usage_of(ledger.plan, stored, month_of(ledger.plan))
    expected = expected_invoices(usage)
    conservation = check_conservation(parts.books, parts.store, parts.topic)
    with transaction(parts.books) as connection:
        invoices = billed_invoices(connection, period)
        events = billed_events(connection, parts.store, period)
        differences = [
            *fate_differences(account, conservation.totals),
            *acknowledged_faults(parts.store, ledger),
            *line_differences(billed_lines(connection, period), usage, expected),
            *invoice_differences(invoices, expected),
        ]
    if events != usage.events:
        differences.append(f"billed events: {events}, expected {usage.events}")
    if sums(invoices) != totals_by_currency(expected):
        differences.append(f"totals: {sums(invoices)}, expected {totals_by_currency(expected)}")
    return Outcome(account, conservation, invoices, events, period, stream_seconds, tuple(differences))


def sums(invoices: list[BilledInvoice]) -> dict[str, Decimal]:
    """Totals by currency in alphabetical order, in major units."""
    totals: dict[str, Decimal] = {}
    for invoice in invoices:
        currency = invoice.total.currency
        totals[currency] = totals.get(currency, Decimal(0)) + invoice.total.decimal()
    return dict(sorted(totals.items()))


def ignore_step(_step: str) -> None:
    """The close's own steps are too short to show."""
