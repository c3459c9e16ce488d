"""Prices are refused where their meter does not say what they go by."""

from __future__ import annotations

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from core.errors import Refused
from tests.catalog.builders import METER, catalog_text, plan_text

MATRIX = "model: matrix, group_by: [region], prices: [{group: {region: eu}, unit_price: 1}], default: {unit_price: 2}"
GROUPED = METER.replace("}", ", group_by: [region, size]}")
FEE = "model: percentage, rate_percent: 1, fixed_fee_per_event: 0.3"


@pytest.mark.parametrize(
    ("meter", "price", "field", "code"),
    [
        (METER, MATRIX, "plans[0].prices[0].group_by", "group_not_counted"),
        (METER.replace("sum", "max"), FEE, "plans[0].prices[0].fixed_fee_per_event", "price_not_with_meter"),
        (
            METER.replace("sum", "latest"),
            f"model: percentage, currencies: {{USD: {{{FEE.partition(', ')[2]}}}}}",
            "plans[0].prices[0].fixed_fee_per_event",
            "price_not_with_meter",
        ),
    ],
)
def test_a_price_needs_what_its_meter_does_not_say(
    books: Engine, meter: str, price: str, field: str, code: str
) -> None:
    """A group that nobody counts, or fees on events that do not add up."""
    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text(meters=meter, plans=plan_text(price)))

    assert [(problem.field, problem.code) for problem in refused.value.problems] == [(field, code)]


def test_a_meter_keeps_the_groups_that_a_price_goes_by(books: Engine) -> None:
    """Its usage would all go to the default from then on."""
    apply_text(books, catalog_text(meters=GROUPED, plans=plan_text(MATRIX)))
    apply_text(books, f"merchant: {{code: acme}}\nmeters: [{GROUPED.replace(', size', '')}]\n")

    with pytest.raises(Refused) as refused:
        apply_text(books, f"merchant: {{code: acme}}\nmeters: [{METER}]\n")

    assert [problem.field for problem in refused.value.problems] == ["meters[0].group_by"]
