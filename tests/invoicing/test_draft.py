"""From charge lines to drafts: rounded once per line, added up after rounding, one invoice a subscription."""

from __future__ import annotations

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from invoicing.draft import draft
from tests.invoicing.lines import charge_lines
from tests.rating.rows import due_price

CENT = {"model": "per_unit", "unit_price": "0.01"}


def test_the_sum_of_rounded_lines_is_the_total() -> None:
    """Three lines of half a cent are three cents, although the exact sum would round to two."""
    due = [due_price(CENT, n, subscription_id="sub_a", meter=f"m{n}") for n in range(3)]

    drafts = draft(charge_lines([(row, "0.5") for row in due]))

    assert drafts.lines["amount_minor"].to_list() == [1, 1, 1]
    assert drafts.invoices.select("state", "subtotal_minor", "total_minor").rows() == [("draft", 3, 3)]


def test_each_subscription_has_one_invoice_with_its_lines_in_order() -> None:
    """Lines are placed by meter, and belong to the invoice whose id they carry."""
    due = [
        due_price(CENT, 1, subscription_id="sub_b", meter="zebra"),
        due_price(CENT, 2, subscription_id="sub_a", meter="zebra"),
        due_price(CENT, 3, subscription_id="sub_a", meter="apple"),
    ]

    drafts = draft(charge_lines([(row, "100") for row in due]))

    assert drafts.invoices["invoice_id"].to_list() == ["inv_a_20231101T0000", "inv_b_20231101T0000"]
    assert drafts.lines.select("invoice_id", "position", "description", "amount_minor").rows() == [
        ("inv_a_20231101T0000", 1, "apple", 100),
        ("inv_a_20231101T0000", 2, "zebra", 100),
        ("inv_b_20231101T0000", 1, "zebra", 100),
    ]


def test_nothing_used_is_a_skipped_invoice_that_keeps_its_lines() -> None:
    """That nothing is owed can be looked up, and uses up no number."""
    drafts = draft(charge_lines([(due_price(CENT), "0")]))

    assert drafts.invoices.select("state", "total_minor").rows() == [("skipped", 0)]
    assert drafts.lines.height == 1


def test_usage_that_rounds_to_nothing_is_an_invoice() -> None:
    """Something was used: the customer gets a document that says so."""
    drafts = draft(charge_lines([(due_price(CENT), "0.1")]))

    assert drafts.invoices.select("state", "total_minor").rows() == [("draft", 0)]


def test_parked_lines_make_no_invoice() -> None:
    """A subscription that waits is not billed in part."""
    drafts = draft(charge_lines([(due_price('{"model": "per_unit"}'), "1")]))

    assert (drafts.invoices.height, drafts.lines.height) == (0, 0)


def test_drafting_is_a_pure_function_whatever_the_order() -> None:
    """The same lines in another order make the same invoices, ids included."""
    lines = charge_lines([(due_price(CENT, n), str(n)) for n in range(20)])

    first, again = draft(lines), draft(lines.sample(fraction=1, shuffle=True, seed=3))

    assert first.invoices.equals(again.invoices)
    assert first.lines.equals(again.lines)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 4), st.decimals(0, 10**9, places=12)), min_size=1, max_size=30))
def test_lines_always_add_up_to_totals(used: list[tuple[int, object]]) -> None:
    """Whatever was used by whom, an invoice's total is the sum of its lines."""
    due = [
        (due_price(CENT, place, subscription_id=f"sub_{subscription}"), str(quantity))
        for place, (subscription, quantity) in enumerate(used)
    ]

    drafts = draft(charge_lines(due))

    sums = drafts.lines.group_by("invoice_id").agg(pl.col("amount_minor").sum().alias("lines"))
    both = drafts.invoices.join(sums, on="invoice_id", validate="1:1")
    assert both.height == len({subscription for subscription, _ in used})
    assert both["total_minor"].to_list() == both["lines"].to_list()
