"""All checks together, and their verdict."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from runtime.conservation.charges import charge_faults, invoice_faults
from runtime.conservation.ledger import Totals, event_faults, ledger_faults, ledger_totals
from runtime.conservation.windows import window_faults

READ_TOGETHER = text("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")


@dataclass(frozen=True, slots=True)
class Conservation:
    """The ledger's totals, how many events the windows count, and every disagreement found, as sentences."""

    totals: Totals
    window_events: int
    faults: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether everything agrees."""
        return not self.faults


def check_conservation(books: Engine, store: UsageStore, topic: str) -> Conservation:
    """Check ledger, events, windows, charge lines and invoices against each other.

    Made for a stack at rest: a block that is being written shows up as not sealed. The books are read as of one
    moment. Raises ``Transient`` when a store does not answer.
    """
    with transaction(books) as connection:
        connection.execute(READ_TOGETHER)
        faults = ledger_faults(connection, topic)
        faults += event_faults(connection, store, topic)
        window_events, wrong_windows = window_faults(connection, store)
        faults += map(str, wrong_windows)
        faults += map(str, charge_faults(connection, store))
        faults += invoice_faults(connection)
        return Conservation(ledger_totals(connection, topic), window_events, tuple(faults))
