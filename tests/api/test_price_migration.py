"""``POST /v1/prices/migrate``: what another version of a price would change, and the change, for one merchant."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from tests.api.conftest import Stream
from tests.api.test_event_fate import Keys, Merchants, close, said

DOOR = "/v1/prices/migrate"
NEXT = """
merchant: {code: acme}
plans: [{code: payg, currency: USD, prices: [{meter: tokens, model: per_unit, unit_price: "0.4", from: 2024-01-01}]}]
"""
WISH = {"plan": "payg", "meter": "tokens", "to": "2024-01-01", "from": "2023-11-01"}


@pytest.fixture(autouse=True)
def versions(books: Engine, merchants: Merchants) -> None:
    """A second version of a price."""
    apply_text(books, NEXT)


def test_nothing_moves_unless_it_is_asked_for(api: httpx.Client, keys: Keys) -> None:
    """The preview is what is answered when nothing is said."""
    first = api.post(DOOR, headers=keys["acme"], json=WISH)
    again = api.post(DOOR, headers=keys["acme"], json=WISH | {"preview": True})

    assert (first.status_code, first.json()) == (200, again.json())
    (row,) = first.json()["subscriptions"]
    assert (row["subject"], row["currency"], row["problem"]) == ("c-1", "USD", None)
    assert first.json()["totals"] == {"USD": {"old_amount": "0", "new_amount": "0", "amount": "0"}}


def test_events_are_billed_at_the_version_that_they_were_migrated_to(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: Any
) -> None:
    """Three tokens at 0.4 instead of 0.5; what was billed by then cannot be migrated any more."""
    stream([said(merchants, "e-1")])

    moved = api.post(DOOR, headers=keys["acme"], json=WISH | {"preview": False})
    assert (moved.status_code, moved.json()["migrated"]) == (200, 1)

    close(books, usage_store)
    with books.connect() as connection:
        amounts = connection.exec_driver_sql("SELECT amount FROM charge_lines WHERE meter = 'tokens'").scalars().all()
    assert [f"{amount:.2f}" for amount in amounts] == ["1.20"]
    back = api.post(DOOR, headers=keys["acme"], json=WISH | {"to": None, "preview": False})
    assert (back.status_code, back.json()["code"]) == (409, "period_already_billed")


@pytest.mark.parametrize(
    ("wish", "status", "code"),
    [
        (WISH | {"to": "2024-02-02"}, 422, "price_version_unknown"),
        (WISH | {"plan": "pro"}, 422, "price_version_unknown"),
        (WISH | {"from": None}, 422, "migration_invalid"),
        (WISH | {"preview": "no"}, 422, "migration_invalid"),
        (WISH | {"since": "2023-11-01"}, 422, "migration_invalid"),
        ([WISH], 422, "body_not_mapping"),
    ],
)
def test_a_wish_that_cannot_be_met_is_refused(
    api: httpx.Client, keys: Keys, wish: object, status: int, code: str
) -> None:
    """With its code, and nothing is written."""
    answer = api.post(DOOR, headers=keys["acme"], json=wish)

    assert (answer.status_code, answer.json()["code"]) == (status, code)


def test_another_merchant_does_not_see_the_plan(api: httpx.Client, keys: Keys) -> None:
    """Whose plan it is comes from the key."""
    assert api.post(DOOR, headers=keys["other"], json=WISH).json()["code"] == "price_version_unknown"
    assert api.post(DOOR, json=WISH).status_code == 401
