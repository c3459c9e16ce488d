"""Every model and adjustment against the naive oracle: random prices and quantities, to the last digit."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from random import Random
from typing import Any

import polars as pl
import pytest

from rating.detail import USAGE_BUCKETS, USAGE_EVENTS, USAGE_GROUPS, Detail
from rating.engine import rate
from rating.models.matrix import group_text
from tests.rating.oracle.charges import charge
from tests.rating.oracle.random_prices import Case, random_case
from tests.rating.oracle.written import exact_sum
from tests.rating.rows import NOVEMBER, due_frame, due_price, usage_frame, used


def rate_cases(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """Rate all cases in one call, each as a subscription of its own."""
    return rate(*frames_of(cases)).to_dicts()


def frames_of(cases: Sequence[Case]) -> tuple[pl.DataFrame, pl.DataFrame, Detail]:
    """What rating is given: usage, prices, and the detail of usage."""
    due = [due_price(case.price, place) for place, case in enumerate(cases)]
    usage = [used(row, case.quantity) for row, case in zip(due, cases, strict=True)]
    keys = [(row["subscription_id"], row["price_id"]) for row in due]
    events = [
        (*key, order, amount)
        for key, case in zip(keys, cases, strict=True)
        for order, amount in enumerate(case.events or ())
    ]
    groups = [
        (*key, group_text(case.price["group_by"], dict(values)), quantity)
        for key, case in zip(keys, cases, strict=True)
        for values, quantity in case.groups
    ]
    buckets = [
        (*key, NOVEMBER + timedelta(hours=hour) if quantity else None, 1, quantity)
        for key, case in zip(keys, cases, strict=True)
        for hour, quantity in enumerate(case.buckets or ())
    ]
    detail = Detail(
        pl.DataFrame(events, schema=USAGE_EVENTS, orient="row"),
        pl.DataFrame(groups, schema=USAGE_GROUPS, orient="row"),
        pl.DataFrame(buckets, schema=USAGE_BUCKETS, orient="row"),
    )
    return usage_frame(usage), due_frame(due), detail


def check(seed: int, count: int) -> None:
    """The engine and the oracle agree on so many random cases."""
    rng = Random(seed)
    cases = [random_case(rng) for _ in range(count)]
    parked = 0
    for line, case in zip(rate_cases(cases), cases, strict=True):
        answer = charge(case.price, case.quantity, case.events, case.groups, case.buckets)
        said = f"{case}: {line['parked_reason']}, {answer}"
        assert (line["parked_reason"] is None) == answer.fits, said
        parked += not answer.fits
        if answer.fits:
            assert line["amount"] == answer.amount, said
            assert exact_sum(row["amount"] for row in line["tiers"]) == line["amount"], said
        elif answer.held:
            assert "is held" in line["parked_reason"], said
    # Neither all in order nor all out of it would prove anything.
    assert count * 0.01 < parked < count * 0.4


def test_the_engine_equals_the_oracle_on_every_price() -> None:
    """The same unrounded amount, or parked where something on the way does not fit or has no price."""
    check(seed=5, count=1_500)


def test_lines_rated_in_parts_are_those_rated_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """With their events, groups and buckets, and with their hashes, whatever the size of a part."""
    rng = Random(9)
    cases = [random_case(rng) for _ in range(100)]
    at_once = rate_cases(cases)

    monkeypatch.setattr("rating.engine.LINES_ALONE", 33)
    monkeypatch.setattr("rating.engine.LINES_TOGETHER", 33)

    assert rate_cases(cases) == at_once


@pytest.mark.parametrize("seed", range(3))
def test_the_order_of_rows_changes_no_line_and_no_hash(seed: int) -> None:
    """Prices, usage, events, groups and buckets in any order, again and again, of every model."""
    rng = Random(40 + seed)
    usage, due, detail = frames_of([random_case(rng) for _ in range(150)])
    first = rate(usage, due, detail).sort("subscription_id")

    def stirred(frame: pl.DataFrame | None) -> pl.DataFrame:
        assert frame is not None, "made above"
        return frame.sample(fraction=1, shuffle=True, seed=rng.randrange(2**32))

    mixed = Detail(stirred(detail.events), stirred(detail.groups), stirred(detail.buckets))
    for order in ((usage, due, detail), (stirred(usage), stirred(due), mixed)):
        assert rate(*order).sort("subscription_id").equals(first)
    assert first["input_hash"].n_unique() == first.height


@pytest.mark.simulation
@pytest.mark.parametrize("seed", range(10))
def test_the_engine_equals_the_oracle_on_twenty_thousand_prices(seed: int) -> None:
    """As above, 2,000 for each of ten seeds: `make test-prices`."""
    check(seed=100 + seed, count=2_000)
