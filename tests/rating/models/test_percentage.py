"""Percentage: event by event, with a quota that ends at whichever limit is used up first."""

from __future__ import annotations

from typing import Any

import pytest

from rating.preview import simulate
from tests.rating.rows import rate_all
from tests.rating.text_table import table

PRICE = {"model": "percentage", "rate_percent": "2", "fixed_fee_per_event": "0.30"}
PRICES: dict[str, dict[str, Any]] = {
    "plain": {"model": "percentage", "rate_percent": "2"},
    "fee": PRICE,
    "events": PRICE | {"free_events": "2"},
    "amount": PRICE | {"free_amount": "100"},
    "both": PRICE | {"free_events": "2", "free_amount": "100"},
    "limits": PRICE | {"per_event_min": "1", "per_event_max": "3"},
    "all": PRICE | {"free_amount": "100", "per_event_min": "1", "per_event_max": "3"},
}
CASES = """
    price  | events         | amount
    plain  | 100 50         | 3
    plain  |                | 0
    fee    | 100 50         | 3.6
    fee    | 0              | 0.3      # an event of nothing is an event
    fee    | 100 -50        | 1.3      # a refund: its percentage, no fee
    events | 10 10          | 0
    events | 10 10 10       | 0.5
    events | 10 -10 10 10   | 0.3      # a refund uses no quota
    amount | 100            | 0        # exactly used up
    amount | 60 60          | 0.7      # partly inside: pays on 20
    amount | 60 40 0        | 0.3      # the quota is used up
    amount | 100.000000000001 | 0.30000000000002
    both   | 10 10 10       | 0.5      # the events are used up first
    both   | 150 10         | 1.8      # the amount is used up first
    limits | 1 100 1000     | 6.3      # raised to 1, 2.30, lowered to 3
    limits | -1000          | -20      # no limit for a refund
    all    | 90 11 2000     | 4        # free, raised to 1 for the rest of 1, lowered to 3
"""


@pytest.mark.parametrize(("price", "events", "amount"), list(table(CASES)))
def test_each_event_pays_its_own(price: str, events: str, amount: str) -> None:
    """Fees, quotas, limits and refunds, at and around each bound."""
    assert simulate({"price": PRICES[price], "events": events.split()})["unrounded"] == amount


def test_the_order_of_events_decides_who_is_free() -> None:
    """The quota goes to the first in the log."""
    first, second = (simulate({"price": PRICES["events"], "events": events}) for events in ([9, 9, 50], [50, 9, 9]))

    assert (first["unrounded"], second["unrounded"]) == ("1.3", "0.48")


def test_a_line_shows_what_was_free_and_what_limits_changed() -> None:
    """All that was paid on in one tier, and each change in its step."""
    answer = simulate({"price": PRICES["all"], "events": [90, 11, 2000]})

    assert [(tier["quantity"], tier["flat_price"], tier["amount"]) for tier in answer["tiers"]] == [
        ("2001", "0.6", "40.62")
    ]
    assert [(step["step"], step["amount"]) for step in answer["steps"]] == [
        ("free", "0"),
        ("per_event_min", "0.68"),
        ("per_event_max", "-37.3"),
    ]


def test_without_single_events_only_a_plain_percentage_is_charged() -> None:
    """A close has quantities alone: what depends on single events is parked, and says on which fields."""
    plain, by_event = rate_all([(PRICES["plain"], "150"), (PRICES["both"], "150")])

    assert plain["amount"] == 3
    assert "the price is by event" in by_event["parked_reason"]
