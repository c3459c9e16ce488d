"""Corrections of a month that is billed: its invoice stays, the next one has the difference, and audits agree."""

from __future__ import annotations

from decimal import Decimal

from sqlalchemy import select

from core.clock import SystemClock
from core.db import transaction
from invoicing.tables import invoices
from runtime.close import close_books
from runtime.demo.run import ignore_step
from tests.runtime.corrections.conftest import Sender, event


def close(sender: Sender, period: str) -> Decimal:
    """Close a month; the sum of its invoices in whole units."""
    close_books(sender.line.books, sender.line.store, SystemClock(), period, on_step=ignore_step)
    with transaction(sender.line.books) as connection:
        totals = connection.execute(select(invoices.c.total_minor).where(invoices.c.period == period)).scalars()
        return Decimal(sum(totals)) / 100


def test_late_retracted_and_amended_usage_goes_on_the_next_invoice(sender: Sender) -> None:
    """Three corrections after the close: what was billed twice over is what one close of everything would bill."""
    sender.send([event(n) for n in range(100)])
    sender.settle()
    first = close(sender, "2023-11")
    sender.agrees()

    sender.send([event(n, "c-2") for n in range(100, 150)])
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(0, 100, 4)])
    sender.correct([{"action": "amend", "event": event(n, size="100")} for n in (1, 2, 3)])
    sender.settle()
    sender.agrees()
    assert close(sender, "2023-11") == first

    sender.send([event(n, day="2023-12-05") for n in range(200, 240)])
    sender.settle()
    second = close(sender, "2023-12")
    sender.agrees()
    assert close(sender, "2023-12") == second
    assert first + second == billed_at_once(sender)


def billed_at_once(sender: Sender) -> Decimal:
    """A cent for each unit of each meter, customer and month, from the surviving events."""
    total = Decimal(0)
    for subject in ("c-1", "c-2"):
        for month in ("2023-11", "2023-12"):
            own = [one for one in sender.alive.values() if one["subject"] == subject and one["time"].startswith(month)]
            if not own:
                continue
            sizes = [Decimal(str(one["properties"]["size"])) for one in own]
            latest = Decimal(str(max(own, key=lambda one: str(one["time"]))["properties"]["size"]))
            units = (len(own), sum(sizes), min(sizes), max(sizes), latest, len(set(sizes)))
            total += sum((Decimal(one) / 100 for one in units), Decimal(0)).quantize(Decimal("0.01"))
    return total
