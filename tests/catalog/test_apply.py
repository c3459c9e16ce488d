"""Applying catalog files to real books."""

from __future__ import annotations

import orjson
import pytest
from sqlalchemy import Engine

from catalog.apply import apply_catalog, apply_text
from catalog.customers import load_customers_frame
from catalog.document import read_catalog
from core.db import transaction
from core.errors import Conflict, Refused
from tests.catalog.builders import (
    CUSTOMER,
    PLAN,
    SUBSCRIPTION,
    apply_counts,
    catalog_text,
    plan_text,
    planned,
    scalar,
    signs,
)


def test_applying_creates_everything_once(books: Engine) -> None:
    """The first time all is created, the second time nothing is to be done and the version stays."""
    first = apply_text(books, catalog_text())
    second = apply_text(books, catalog_text())

    assert signs(first) == [
        "+merchant acme",
        "+meter tokens",
        "+plan payg",
        "+price payg/tokens",
        "+customer c-1",
        "+subscription c-1 on payg from 2023-11-01",
    ]
    assert (first.version, second.version, signs(second)) == (1, 1, [])
    assert second.diffs[0].unchanged == 6


def test_planning_writes_nothing(books: Engine) -> None:
    """What would be changed is shown without a trace in the books."""
    (diff,) = planned(books, catalog_text())

    assert len(diff.changes) == 6
    assert scalar(books, "SELECT count(*) FROM merchants") == 0
    assert scalar(books, "SELECT version FROM catalog_version") == 0


def test_a_file_is_applied_whole_or_not_at_all(books: Engine) -> None:
    """A fault in the second document keeps the first from being written too."""
    bad = catalog_text(merchant="other", subscriptions="{customer: nobody, plan: payg, start: 2023-11-01}")

    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text() + "---\n" + bad)

    assert [problem.field for problem in refused.value.problems] == ["documents[1].subscriptions[0].customer"]
    assert scalar(books, "SELECT count(*) FROM merchants") == 0


def test_documents_of_one_file_share_a_version(books: Engine) -> None:
    """One file is one change of the catalog."""
    applied = apply_text(books, catalog_text() + "---\n" + catalog_text(merchant="other"))

    assert applied.version == 1
    assert scalar(books, "SELECT count(*) FROM meters WHERE from_version = 1") == 2


def test_merchants_do_not_see_each_other(books: Engine) -> None:
    """A plan or customer of one merchant cannot be named by another."""
    apply_text(books, catalog_text())

    with pytest.raises(Refused) as refused:
        apply_text(books, catalog_text(merchant="other", meters="", plans="", customers=""))

    assert [problem.code for problem in refused.value.problems] == ["customer_unknown", "plan_unknown"]


def test_what_is_absent_stays(books: Engine) -> None:
    """A file that mentions only a part leaves the rest alone, and may refer to it."""
    apply_text(books, catalog_text())
    customer = "{key: c-2, currency: USD}"
    subscription = "{customer: c-2, plan: payg, start: 2024-01-01}"

    assert apply_counts(books, catalog_text(meters="", plans="", customers=customer, subscriptions=subscription)) == (
        2,
        0,
        1,
    )
    assert apply_counts(books, catalog_text()) == (0, 0, 6)


def test_names_left_out_are_kept(books: Engine) -> None:
    """A name, or a customer's zone, that a file does not give is not reset."""
    apply_text(books, catalog_text())

    assert apply_counts(books, catalog_text(customers="{key: c-1, currency: USD}")) == (0, 0, 6)


@pytest.mark.parametrize(
    ("parts", "change"),
    [
        ({"meters": "{code: tokens, event_type: llm.request, aggregation: max, value: Tokens}"}, "~meter tokens"),
        ({"meters": "{code: tokens, event_type: llm.request, aggregation: count}"}, "~meter tokens"),
        ({"plans": PLAN.replace("payg,", "payg, name: Flexible,")}, "~plan payg"),
        ({"plans": plan_text("model: per_unit, unit_price: 0.6")}, "~price payg/tokens"),
        ({"customers": CUSTOMER.replace("One", "Uno")}, "~customer c-1"),
        (
            {"subscriptions": SUBSCRIPTION.replace("}", ", end: 2024-02-01}")},
            "~subscription c-1 on payg from 2023-11-01",
        ),
    ],
)
def test_a_change_is_written_and_then_holds(books: Engine, parts: dict[str, str], change: str) -> None:
    """Each kind can be changed; applying the change again finds nothing to do."""
    apply_text(books, catalog_text())

    applied = apply_text(books, catalog_text(**parts))

    assert (applied.version, signs(applied)) == (2, [change])
    assert apply_counts(books, catalog_text(**parts)) == (0, 0, 6)


def test_a_changed_meter_is_a_new_version_of_the_same_meter(books: Engine) -> None:
    """Prices and windows refer to the meter's id, which stays."""
    apply_text(books, catalog_text())
    apply_text(books, catalog_text(meters="{code: tokens, event_type: llm.request, aggregation: max, value: Tokens}"))

    versions = "SELECT array_agg(meter_version || ':' || aggregation ORDER BY meter_version) FROM meters"
    assert scalar(books, versions) == ["1:sum", "2:max"]
    assert scalar(books, "SELECT count(DISTINCT meter_id) FROM meters") == 1


def test_a_price_in_another_spelling_is_the_same_price(books: Engine) -> None:
    """0.50 is 0.5: nothing is to be done."""
    apply_text(books, catalog_text())

    assert apply_counts(books, catalog_text(plans=plan_text("model: per_unit, unit_price: '0.500'"))) == (0, 0, 6)


def test_only_what_was_agreed_to_is_written(books: Engine) -> None:
    """When the books change between the question and the answer, the answer no longer counts."""
    apply_text(books, catalog_text())
    wanted = catalog_text(customers=CUSTOMER.replace("One", "Uno"))
    agreed = planned(books, wanted)
    apply_text(books, catalog_text(customers=CUSTOMER.replace("One", "Eins")))

    with pytest.raises(Conflict) as conflict, transaction(books) as connection:
        apply_catalog(connection, read_catalog(wanted.encode()), agreed)

    assert conflict.value.code == "catalog_moved"


def test_days_begin_in_the_customers_zone(books: Engine) -> None:
    """A subscription starts with the first instant of its day in Berlin, and keeps the day as its anchor."""
    apply_text(books, catalog_text(subscriptions="{customer: c-1, plan: payg, start: 2023-10-31, end: 2023-12-01}"))

    starts = (
        "SELECT to_char(starts_at, 'YYYY-MM-DD HH24:MI') || to_char(ends_at, ' YYYY-MM-DD HH24:MI') FROM subscriptions"
    )
    assert scalar(books, starts) == "2023-10-30 23:00 2023-11-30 23:00"
    assert scalar(books, "SELECT anchor_day FROM subscriptions") == 31


def test_thousands_of_customers_are_applied_at_once(books: Engine) -> None:
    """Large merchants are a matter of a few statements; awkward keys and names come through unharmed."""
    keys = [*(f"c-{number}" for number in range(3000)), 'a "b"', "a, b", "it's", "ü 漢", "\\N", "null", "\\.", " "]
    quoted = [orjson.dumps(key).decode() for key in keys]
    customers = ", ".join(f"{{key: {key}, name: {key}, currency: USD}}" for key in quoted)
    subscriptions = ", ".join(f"{{customer: {key}, plan: payg, start: 2023-11-01}}" for key in quoted)
    source = catalog_text(customers=customers, subscriptions=subscriptions)

    created, _, _ = apply_counts(books, source)

    assert created == 4 + 2 * len(keys)
    assert apply_counts(books, source) == (0, 0, created)
    with transaction(books) as connection:
        frame = load_customers_frame(connection, 1)
    assert sorted(frame["subject"]) == sorted(keys)
    assert frame["subject"].equals(frame["name"])
