"""What is remembered of the catalog: what cannot change for ever, what can for a moment."""

from __future__ import annotations

from datetime import UTC, datetime

from sqlalchemy import Engine, text

from api.remembered import DISTINCT_FOR_S, Remembered
from catalog.apply import apply_text
from core.clock import ManualClock
from core.db import transaction
from tests.catalog.builders import METER, catalog_text

UNIQUE = "{code: users, event_type: call, aggregation: unique, value: user}"


def test_a_key_without_a_customer_is_looked_for_again(books: Engine) -> None:
    """One that has a customer keeps its id."""
    apply_text(books, catalog_text(customers="{key: c-1, currency: USD}"))
    with transaction(books) as connection:
        merchant_id = connection.scalar(text("SELECT merchant_id FROM merchants"))
    remembered = Remembered(books, ManualClock(datetime(2026, 1, 1, tzinfo=UTC)))
    first = remembered.customer_ids(merchant_id, ["c-1", "c-2"])
    apply_text(books, catalog_text(customers="{key: c-2, currency: USD}"))

    both = remembered.customer_ids(merchant_id, ["c-1", "c-2"])

    assert list(first) == ["c-1"]
    assert both["c-1"] == first["c-1"]
    assert set(both) == {"c-1", "c-2"}


def test_a_new_meter_of_distinct_values_is_noticed_in_a_moment(books: Engine) -> None:
    """Until then a question is asked twice, and answered right."""
    apply_text(books, catalog_text(meters=METER))
    with transaction(books) as connection:
        merchant_id = connection.scalar(text("SELECT merchant_id FROM merchants"))
    clock = ManualClock(datetime(2026, 1, 1, tzinfo=UTC))
    remembered = Remembered(books, clock)
    before = remembered.counts_distinct(merchant_id, ())
    apply_text(books, catalog_text(meters=f"{METER}, {UNIQUE}"))
    meanwhile = remembered.counts_distinct(merchant_id, ())
    clock.advance(seconds=DISTINCT_FOR_S)

    assert (before, meanwhile, remembered.counts_distinct(merchant_id, ())) == (False, False, True)
