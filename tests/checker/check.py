"""All invariants, I1 to I9, of a stack that has taken a generator's traffic."""

from __future__ import annotations

from core.clock import Clock, SystemClock
from runtime.settings import Settings
from runtime.traffic.ledger import SimulatorLedger
from tests.checker.amounts import sums_agree
from tests.checker.books import invoices_unique, ledger_contiguous, repeatable
from tests.checker.doors import keys_of, tenants_apart
from tests.checker.events import each_once, none_refused
from tests.checker.expected import expect
from tests.checker.flow import caught_up, conserved
from tests.checker.result import InvariantResult
from tests.checker.stores import open_stores

CAUGHT_UP_WITHIN_S = 60.0


def check_all(
    ledger: SimulatorLedger,
    settings: Settings,
    *,
    caught_up_within_s: float = CAUGHT_UP_WITHIN_S,
    close_again: bool = True,
    clock: Clock | None = None,
) -> list[InvariantResult]:
    """One result for each invariant, in their order.

    Reads the ledger, the HTTP doors and the stores, and nothing of what the product remembers. ``caught_up_within_s``
    is what I8 allows from now on: three times the fault's length and 30 s. With ``close_again`` the month is closed
    once more through the command line if it is billed already. Keys that it makes for itself end with it.
    """
    expected = expect(ledger)
    period = expected.month.isoformat()[:7]
    merchants = sorted({int(merchant) for merchant in expected.merchants[expected.counted][:10_000]})[:2]
    with open_stores(settings) as stores, keys_of(settings, expected, merchants) as keys:
        # First of all: what is still on its way is neither lost nor found.
        lag = caught_up(stores, clock or SystemClock(), caught_up_within_s)
        return [
            each_once(stores, expected, keys),
            none_refused(stores, expected),
            sums_agree(stores, expected),
            repeatable(stores, period, close_again=close_again),
            invoices_unique(stores),
            ledger_contiguous(stores),
            tenants_apart(stores, expected, keys),
            lag,
            conserved(stores, expected.account),
        ]
