"""An explanation shows the recorded numbers, works them out again, and says when they do not agree."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from hashlib import sha256
from typing import Any

import pytest

from core.money import Money
from invoicing.explain import explain, hash_inputs, inputs_agree
from invoicing.invoice import Invoice, InvoiceLine


def tier(cells: str) -> dict[str, Any]:
    """A tier as it lies in the books: number, from, to, quantity, unit price, flat price, amount."""
    names = ("from", "to", "quantity", "unit_price", "flat_price", "amount")
    number, *texts = cells.split()
    return {"tier": int(number)} | {
        name: None if text == "null" else text for name, text in zip(names, texts, strict=True)
    }


LINE = InvoiceLine(
    position=1,
    description="tokens",
    price_id="pri_1",
    meter_id="met_1",
    meter="tokens",
    aggregation="sum",
    model="graduated",
    quantity=Decimal("1500.5"),
    unrounded=Decimal("555.0505"),
    amount=Money(55505, "USD"),
    tiers=[
        tier("1 0 1000 1000 0.5 5 505"),
        tier("2 1000 null 500.5 0.1 0.0005 50.0505"),
    ],
    price={},
    events=3,
    windows=2,
    input_hash="00",
)


def test_the_arithmetic_is_written_out_tier_by_tier() -> None:
    """Spans say which bound belongs to a tier; sums hold the exact numbers."""
    worked = explain(LINE)

    assert [(step.span(), step.sum()) for step in worked.steps] == [
        ("0 to 1000", "1000 × 0.5 + 5 = 505"),
        ("above 1000", "500.5 × 0.1 + 0.0005 = 50.0505"),
    ]
    assert (worked.unrounded, worked.rounded, worked.agrees) == (Decimal("555.0505"), Money(55505, "USD"), True)


@pytest.mark.parametrize(
    "change",
    [
        {"amount": Money(55506, "USD")},
        {"unrounded": Decimal("555.0504")},
        {"quantity": Decimal(1500)},
        {"tiers": [*LINE.tiers[:1], tier("2 1000 null 500.5 0.2 0.0005 50.0505")]},
    ],
)
def test_a_line_that_does_not_follow_from_its_tiers_is_told(change: dict[str, Any]) -> None:
    """A changed amount, sum, quantity or tier is found out."""
    assert not explain(replace(LINE, **change)).agrees


ADJUSTED = replace(
    LINE,
    kind="adjustment",
    for_period="2023-10",
    adjusts={"old_quantity": "1000", "new_quantity": "1500.5", "old_amount": "505"},
    quantity=Decimal("500.5"),
    unrounded=Decimal("50.0505"),
    amount=Money(5005, "USD"),
)


def test_an_adjustment_is_the_whole_period_without_what_was_billed() -> None:
    """The tiers are those of the whole; the line has the difference, rounded by itself."""
    worked = explain(ADJUSTED)

    assert (worked.whole, worked.unrounded, worked.rounded) == (
        Decimal("555.0505"),
        Decimal("50.0505"),
        Money(5005, "USD"),
    )
    assert worked.agrees


@pytest.mark.parametrize("name", ["old_amount", "new_quantity"])
def test_an_adjustment_from_another_amount_is_told(name: str) -> None:
    """What had been billed and what it comes to are part of the arithmetic."""
    assert ADJUSTED.adjusts is not None
    assert not explain(replace(ADJUSTED, adjusts=ADJUSTED.adjusts | {name: "506"})).agrees


START, END = datetime(2023, 11, 1, tzinfo=UTC), datetime(2023, 12, 1, tzinfo=UTC)
NOTHING = Money(0, "USD")
INVOICE = Invoice(
    **dict.fromkeys(("invoice_id", "merchant", "subject", "plan", "state", "run_id"), "-"),
    merchant_id="mer_1",
    subscription_id="sub_1",
    customer_id="cus_1",
    number=None,
    period="2023-11",
    period_start=START,
    period_end=END,
    version=1,
    subtotal=NOTHING,
    credit=NOTHING,
    total=NOTHING,
    cutoff=END,
    catalog_version=1,
    created_at=END,
    issued_at=None,
    lines=(LINE,),
)
# By the rules of before: everything in one text.
ONE_TEXT = (
    "millrace-rating-1 mer_1 sub_1 cus_1 met_1 tokens sum pri_1 graduated USD 1698796800000000 1701388800000000 "
    "1500.500000000000 {}"
)


def test_a_line_has_the_hash_of_its_inputs_by_the_rules_of_today_or_of_before() -> None:
    """Lines that were billed under the rules of before go on agreeing, and a changed quantity does under neither."""
    hashes = (hash_inputs(INVOICE, LINE), sha256(ONE_TEXT.replace(" ", "\x1f").encode()).hexdigest())

    for input_hash in hashes:
        line = replace(LINE, input_hash=input_hash)
        assert inputs_agree(INVOICE, line)
        assert not inputs_agree(INVOICE, replace(line, quantity=Decimal(1500)))
    assert len(set(hashes)) == 2
