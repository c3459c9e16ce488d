"""Fates over real stores: what became of events of every kind, told to their merchant and nobody else."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.clock import ManualClock
from core.db import transaction
from runtime.close import close_books
from tests.api.conftest import Stream
from tests.streams.builders import NOON, Said

Keys = dict[str, dict[str, str]]
Merchants = dict[str, str]


def said(merchants: Merchants, event_id: str, merchant: str = "acme", **fields: Any) -> Said:
    """An event of one of the two merchants, worth three tokens of a user."""
    fields.setdefault("properties", {"tokens": "3", "user": "u-1", "model": "large"})
    return Said(event_id, merchant=merchants[merchant], **fields)


def close(books: Engine, store: UsageStore) -> None:
    """Close November 2023, of which the events are."""
    close_books(books, store, ManualClock(datetime.now(UTC)), "2023-11", on_step=lambda _step: None)


def ask(api: httpx.Client, keys: Keys, path: str, code: str = "acme") -> dict[str, Any]:
    """The answer to a question that must be answered."""
    answer = api.get(path, headers=keys[code])
    assert answer.status_code == 200, answer.text
    body: dict[str, Any] = answer.json()
    return body


def test_an_event_is_open_until_its_period_closes_and_billed_after(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """It lies at its offset in its sealed block, in three windows, of which two are priced and billed."""
    stream([said(merchants, "a"), said(merchants, "e-1")], [said(merchants, "e-1")])

    found = ask(api, keys, "/v1/events/e-1")

    assert (found["fate"], found["id"], found["subject"], found["reason"]) == ("open", "e-1", "c-1", None)
    assert [copy["fate"] for copy in found["copies"]] == ["stored", "duplicate"]
    assert found["copies"][0]["lies"] == {"incarnation": 1, "partition": 0, "offset": 0, "position": 1}
    block = found["copies"][1]["block"]
    assert (block["first"], block["last"], block["state"]) == (0, 1, "sealed")
    assert block["digest"].startswith("xxh3:")
    assert [(w["meter"], w["group"], w["quantity"], w["value"]) for w in found["windows"]] == [
        ("calls", "", "1", None),
        ("tokens", '{"model":"large"}', "3", None),
        ("users", "", None, "u-1"),
    ]
    assert {w["minute"] for w in found["windows"]} == {"2023-11-20T12:00:00+00:00"}
    assert [bill["outcome"] for bill in found["bills"]] == ["open", "open", "unpriced"]

    close(books, usage_store)
    found = ask(api, keys, "/v1/events/e-1")

    assert found["fate"] == "billed"
    calls, tokens, users = found["bills"]
    assert users["outcome"] == "unpriced"
    assert (calls["line"]["quantity"], calls["line"]["amount"], calls["line"]["currency"]) == ("2", "0.02", "USD")
    assert (tokens["line"]["quantity"], tokens["line"]["amount"]) == ("6", "3.00")
    assert tokens["line"]["invoice"]
    assert tokens["line"]["invoice"] in tokens["why"]


def test_an_event_that_came_after_its_period_was_closed_is_late(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """It is kept, counted, and said to be carried over."""
    stream([said(merchants, "in-time")])
    close(books, usage_store)
    stream([said(merchants, "too-late")])

    assert ask(api, keys, "/v1/events/in-time")["fate"] == "billed"
    late = ask(api, keys, "/v1/events/too-late")
    assert late["fate"] == "late"
    assert "2023-11 was closed at" in late["bills"][0]["why"]


@pytest.mark.parametrize(
    ("fields", "fate", "reason", "words"),
    [
        ({"type": "strange"}, "held", "unknown_meter", "no meter counts events of type 'strange'"),
        ({"subject": "nobody"}, "held", "unknown_customer", "no customer has the key 'nobody'"),
        ({"properties": {"tokens": "many", "user": "u"}}, "rejected", "value_not_numeric", "which is 'many'"),
        ({"type": "eu.call", "properties": {"region": "us"}}, "uncounted", None, "filters"),
        ({"subject": "c-2"}, "unpriced", None, "no subscription"),
    ],
)
def test_an_event_that_is_not_billed_says_why(
    *,
    api: httpx.Client,
    keys: Keys,
    stream: Stream,
    merchants: Merchants,
    fields: dict[str, Any],
    fate: str,
    reason: str | None,
    words: str,
) -> None:
    """A word, a reason for programs, and a sentence for people."""
    stream([said(merchants, "odd", **fields)])

    found = ask(api, keys, "/v1/events/odd")

    assert (found["fate"], found["reason"]) == (fate, reason)
    assert words in found["explanation"]


def test_copies_that_say_something_else_are_shown_with_their_fate(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """The first copy counts; a mended event counts although a rejected copy came before it."""
    stream([said(merchants, "e"), said(merchants, "m", properties={"tokens": "none", "user": "u"})])
    stream([said(merchants, "e", properties={"tokens": "4", "user": "u-1"}), said(merchants, "m")])

    twice = ask(api, keys, "/v1/events/e")
    mended = ask(api, keys, "/v1/events/m")

    assert [(copy["fate"], copy["reason"]) for copy in twice["copies"]] == [("stored", None), ("conflict", None)]
    assert twice["windows"][1]["quantity"] == "3"
    assert [(copy["fate"], copy["reason"]) for copy in mended["copies"]] == [
        ("rejected", "value_not_numeric"),
        ("stored", None),
    ]
    assert mended["fate"] == "open"


def test_ids_of_any_shape_and_several_sources_are_found(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Slashes, blanks and quotes are part of an id; where two sources use the same one, it must be named."""
    odd = "a/b c?'\"\\`{x:String}%"
    stream([said(merchants, odd), said(merchants, "s", source="one"), said(merchants, "s", source="two")])

    assert ask(api, keys, "/v1/events/a%2Fb%20c%3F'%22%5C%60%7Bx%3AString%7D%25")["id"] == odd
    unclear = api.get("/v1/events/s", headers=keys["acme"])
    assert (unclear.status_code, unclear.json()["code"]) == (409, "source_needed")
    assert ask(api, keys, "/v1/events/s?source=two")["source"] == "two"


def test_a_merchant_never_sees_anothers_event(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Not by id, even when both have an event of the same id: each sees its own."""
    stream(
        [
            said(merchants, "theirs", merchant="other", properties={"secret": "x"}),
            said(merchants, "same", merchant="other", properties={"secret": "x"}),
            said(merchants, "same"),
        ]
    )

    hidden = api.get("/v1/events/theirs", headers=keys["acme"])
    unknown = api.get("/v1/events/nothing", headers=keys["acme"])

    assert hidden.status_code == unknown.status_code == 404
    assert hidden.json() == unknown.json()
    assert "secret" not in ask(api, keys, "/v1/events/same")["properties"]
    assert ask(api, keys, "/v1/events/same", "other")["properties"] == {"secret": "x"}


def test_a_parked_charge_is_told_with_its_reason(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """Usage whose charge could not be worked out is neither billed nor lost."""
    stream([said(merchants, "e", at=NOON + timedelta(minutes=1))])
    close(books, usage_store)
    with transaction(books) as connection:
        connection.execute(text("UPDATE charge_lines SET parked_reason = 'price is missing', amount = NULL"))

    found = ask(api, keys, "/v1/events/e")

    assert found["fate"] == "parked"
    assert "price is missing" in found["bills"][0]["why"]
