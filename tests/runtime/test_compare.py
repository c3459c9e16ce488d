from __future__ import annotations

from dataclasses import replace
from decimal import Decimal

import numpy as np
import pytest

from core.money import Money
from runtime.conservation.ledger import Totals
from runtime.demo.billed import BilledInvoice, BilledLine
from runtime.demo.compare import fate_differences, invoice_differences, line_differences
from runtime.traffic.account import Account
from runtime.traffic.oracle import expected_invoices
from runtime.traffic.usage import Usage
from tests.runtime.traffic.plans import small_plan

ACCOUNT = Account(
    sent=100,
    accepted=97,
    refused=3,
    stored=90,
    duplicates=4,
    conflicts=1,
    held=1,
    rejected=1,
    astray=0,
    maybe_repeated=0,
)
TOTALS = Totals(
    received=97, stored=90, duplicates=4, conflicts=1, held=1, rejected=1, retractions=0, redelivered=0, blocks=1
)


def test_equal_counts_do_not_differ() -> None:
    """And events that the log delivered again count for nothing."""
    assert fate_differences(ACCOUNT, TOTALS) == []
    assert fate_differences(ACCOUNT, replace(TOTALS, redelivered=50)) == []


@pytest.mark.parametrize(
    ("account", "totals", "words"),
    [
        ({}, {"stored": 89, "duplicates": 5}, "stored: 89, expected 90"),
        ({}, {"stored": 91, "duplicates": 3}, "stored: 91, expected 90"),
        ({}, {"held": 0, "rejected": 2}, "held: 0, expected 1"),
        ({}, {"received": 98, "duplicates": 5}, "received: 98, accepted 97"),
        ({"accepted": 96}, {}, "1 events got no answer"),
        ({"astray": 2}, {}, "2 events got an answer that they should not have got"),
    ],
)
def test_every_difference_is_told(account: dict[str, int], totals: dict[str, int], words: str) -> None:
    """A lost event, a doubled one, another fate, one too many, one without an answer."""
    assert words in fate_differences(replace(ACCOUNT, **account), replace(TOTALS, **totals))


def test_copies_of_tries_without_an_answer_may_be_there_but_nothing_new() -> None:
    """Up to as many duplicates more as were sent again; one stored event more is still a fault."""
    retried = replace(ACCOUNT, maybe_repeated=10)
    assert fate_differences(retried, replace(TOTALS, received=105, duplicates=12)) == []
    assert fate_differences(retried, replace(TOTALS, received=108, duplicates=15)) != []
    assert fate_differences(retried, replace(TOTALS, received=105, duplicates=11, stored=91)) != []


def test_lines_and_invoices_are_compared_one_by_one() -> None:
    """A quantity, an amount, a currency, a missing line, a missing and a strange invoice."""
    plan = small_plan()
    millionths = np.zeros((plan.meters, plan.merchants, plan.customers), dtype=np.int64)
    millionths[11, 0, 1] = 12_345_678
    usage = Usage(plan, millionths, 1)
    expected = expected_invoices(usage)
    line = BilledLine("sim-0000", "c-000001", "gb_in", Decimal("12.345678"), Money(12, "USD"))
    assert line_differences([line], usage, expected) == []
    assert (
        "quantity 1, expected 12.345678" in line_differences([replace(line, quantity=Decimal(1))], usage, expected)[0]
    )
    assert "0.13 USD" in line_differences([replace(line, amount=Money(13, "USD"))], usage, expected)[0]
    assert line_differences([replace(line, amount=Money(12, "EUR"))], usage, expected) != []
    assert "no line" in line_differences([], usage, expected)[0]

    invoice = BilledInvoice("sim-0000", "c-000001", "INV-1", Money(12, "USD"))
    assert invoice_differences([invoice], expected) == []
    assert "not 0.12" in invoice_differences([replace(invoice, total=Money(11, "USD"))], expected)[0]
    assert "has no invoice" in invoice_differences([], expected)[0]
    assert "was not expected" in invoice_differences([invoice, replace(invoice, customer="c-000002")], expected)[0]
