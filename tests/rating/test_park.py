"""One bad line holds its whole subscription back, and nobody else's."""

from __future__ import annotations

import polars as pl

from rating.engine import rate
from rating.park import park_subscriptions
from tests.rating.rows import due_frame, due_price, usage_frame, used

GOOD = {"model": "per_unit", "unit_price": "2"}


def test_a_parked_line_holds_back_the_lines_beside_it() -> None:
    """The bad line keeps its reason, the good one says whom it waits for, the neighbour is not touched."""
    bad = due_price('{"model": "per_unit"}', 1, subscription_id="sub_a", meter="bad")
    good = due_price(GOOD, 2, subscription_id="sub_a", meter="good")
    other = due_price(GOOD, 3, subscription_id="sub_b")
    rated = rate(usage_frame([used(good, "3"), used(other, "4")]), due_frame([bad, good, other]))

    lines = park_subscriptions(rated)

    assert lines.schema == rated.schema
    assert lines["amount"].to_list() == [None, None, 8]
    assert lines["parked_reason"].to_list() == [
        "the price is invalid: unit_price is required",
        "held back with the line of bad, which is parked",
        None,
    ]


def test_lines_that_do_not_add_up_within_bounds_are_parked() -> None:
    """Each line fits 14 digits and their sum does not."""
    due = [due_price(GOOD, n, subscription_id="sub_a") for n in (1, 2)]
    usage = [used(row, "49999999999999") for row in due]

    lines = park_subscriptions(rate(usage_frame(usage), due_frame(due)))

    assert lines["amount"].null_count() == 2
    assert lines["parked_reason"].str.contains("do not add up").all()


def test_a_subscription_in_two_currencies_is_parked() -> None:
    """Dollars and yen have no sum."""
    due = [due_price(GOOD, n, subscription_id="sub_a", currency=currency) for n, currency in enumerate(["USD", "JPY"])]

    lines = park_subscriptions(rate(usage_frame([used(row, "1") for row in due]), due_frame(due)))

    assert lines["amount"].null_count() == 2
    assert lines["parked_reason"].str.contains("several currencies").all()


def test_good_lines_pass_as_they_are() -> None:
    """Nothing is copied or changed where nothing is wrong."""
    due = [due_price(GOOD, n) for n in range(3)]
    rated = rate(usage_frame([used(row, "1") for row in due]), due_frame(due))

    assert park_subscriptions(rated).equals(rated)
    assert isinstance(rated, pl.DataFrame)
