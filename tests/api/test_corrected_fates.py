"""Fates of events that were taken back, amended, released or held for a backfill, told with their history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any

import httpx
import pytest
from sqlalchemy import Engine, text

from catalog.document import read_catalog
from clickhouse.client import UsageStore
from core.db import transaction
from ingest.correction import FillAsked, build_corrections, build_fill
from ingest.event import Envelope
from runtime.commands.apply import write_catalog
from streams.decode import Readable
from streams.partition import Partition
from tests.api.conftest import CATALOG, PRODUCER, Stream
from tests.api.test_event_fate import Keys, Merchants, ask, close, said
from tests.api.test_list_events import wait_until_listed
from tests.streams.builders import NOON
from tests.streams.stories import Corrected, amend, as_correction, backfill, release, retract

CHANGED = {"tokens": "5", "user": "u-2", "model": "large"}


def tell(stream: Stream, *corrections: Corrected) -> None:
    """Seal a block of corrections."""
    rows = build_corrections([as_correction(one) for one in corrections], NOON)
    seal(stream, Envelope(PRODUCER, stream.next_offset + 1, rows))


def seal(stream: Stream, message: Envelope) -> None:
    """Seal a block of one message."""
    partition = Partition(stream.parts, stream.claimed)
    assert partition.advance([Readable(stream.next_offset, message)]).count == 1
    stream.next_offset += 1
    stream.claimed = partition.claimed


def taken(merchants: Merchants, event_id: str) -> Corrected:
    """A retraction of one of the merchant's events."""
    correction = retract(event_id)
    return replace(correction, said=replace(correction.said, merchant=merchants["acme"]))


def words(found: dict[str, Any], *names: str) -> list[tuple[Any, ...]]:
    """Some fields of each copy."""
    return [tuple(copy[name] for name in names) for copy in found["copies"]]


def test_an_event_that_was_taken_back_says_by_whom_and_when(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Sending it again does not bring it back; an amendment does."""
    stream([said(merchants, "e")])
    tell(stream, taken(merchants, "e"))
    stream([said(merchants, "e")])

    gone = ask(api, keys, "/v1/events/e")

    assert (gone["fate"], gone["windows"], gone["bills"]) == ("retracted", [], [])
    assert "'cor_1'" in gone["explanation"]
    assert gone["correction"] == {"id": "cor_1", "action": "retract", "stored_at": gone["copies"][1]["stored_at"]}
    assert words(gone, "action", "fate", "correction_id") == [
        ("event", "stored", None),
        ("retract", "retraction", "cor_1"),
        ("event", "duplicate", None),
    ]

    tell(stream, amend(said(merchants, "e", properties=CHANGED)))
    back = ask(api, keys, "/v1/events/e")

    assert (back["fate"], back["properties"]) == ("open", CHANGED)
    assert "amended" in back["explanation"]
    assert [(window["meter"], window["quantity"], window["value"]) for window in back["windows"]] == [
        ("calls", "1", None),
        ("tokens", "5", None),
        ("users", None, "u-2"),
    ]


def test_an_amended_event_shows_what_it_said_before(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """The last amendment counts; one that was rejected changed nothing."""
    stream([said(merchants, "e")])
    tell(stream, amend(said(merchants, "e", properties=CHANGED)))
    tell(stream, amend(said(merchants, "e", properties=CHANGED | {"tokens": "many"})))

    found = ask(api, keys, "/v1/events/e")

    assert (found["fate"], found["properties"]) == ("open", CHANGED)
    assert words(found, "action", "fate", "reason") == [
        ("event", "stored", None),
        ("amend", "stored", None),
        ("amend", "rejected", "value_not_numeric"),
    ]
    assert found["copies"][1]["properties"] == CHANGED
    wait_until_listed()
    listed = ask(api, keys, "/v1/events?id=e&fate=stored")["events"]
    assert [(event["action"], event["correction_id"]) for event in listed] == [("amend", "cor_1"), ("event", None)]


def test_what_is_held_says_the_next_step(api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants) -> None:
    """Of a backfill, of a correction without its event; released, it counts."""
    tell(stream, backfill(said(merchants, "b")))
    tell(stream, taken(merchants, "nothing"))

    held, unknown = ask(api, keys, "/v1/events/b"), ask(api, keys, "/v1/events/nothing")

    assert (held["fate"], held["reason"]) == ("held", "backfill")
    assert "Close that" in held["explanation"]
    assert (unknown["fate"], unknown["reason"]) == ("held", "unknown_event")
    assert "Send the event" in unknown["explanation"]

    tell(stream, release(said(merchants, "b")))
    stream([said(merchants, "nothing")])
    assert ask(api, keys, "/v1/events/b")["fate"] == "open"
    assert "released" in ask(api, keys, "/v1/events/b")["explanation"]
    assert ask(api, keys, "/v1/events/nothing")["fate"] == "open"

    tell(stream, taken(merchants, "b"))
    assert ask(api, keys, "/v1/events/b")["fate"] == "retracted"


@pytest.mark.parametrize("event_id", ["taken", "changed"])
def test_what_is_corrected_after_its_period_was_billed_is_carried_over(
    *,
    api: httpx.Client,
    keys: Keys,
    stream: Stream,
    merchants: Merchants,
    books: Engine,
    usage_store: UsageStore,
    event_id: str,
) -> None:
    """The invoice stays as it is; the event tells in which period the difference lies."""
    stream([said(merchants, "taken"), said(merchants, "changed")])
    close(books, usage_store)
    tell(stream, taken(merchants, "taken"), amend(said(merchants, "changed", properties=CHANGED)))

    found = ask(api, keys, f"/v1/events/{event_id}")

    how = {"taken": "taken back", "changed": "amended"}[event_id]
    assert found["fate"] == {"taken": "retracted", "changed": "late"}[event_id]
    told = [(bill["meter"], bill["outcome"]) for bill in found["bills"] if bill["outcome"] != "unpriced"]
    assert told == [("calls", "late"), ("tokens", "late")]
    assert all(how in bill["why"] for bill in found["bills"] if bill["outcome"] == "late")


def test_an_event_taken_back_before_its_period_was_billed_is_on_no_bill(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """The close did not see it."""
    stream([said(merchants, "e"), said(merchants, "other")])
    tell(stream, taken(merchants, "e"))
    close(books, usage_store)

    assert ask(api, keys, "/v1/events/e")["bills"] == []


def test_an_event_is_in_the_windows_of_a_meter_that_was_filled_later(
    *, api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants, books: Engine, usage_store: UsageStore
) -> None:
    """By the rules of the fill's catalog; other events of the type are not."""
    stream([said(merchants, "in"), said(merchants, "out", at=NOON + timedelta(hours=1))])
    added = b"  - {code: models, event_type: call, aggregation: unique, value: model}\nplans:"
    write_catalog(books, usage_store, read_catalog(CATALOG.replace(b"plans:", added, 1)))
    with transaction(books) as connection:
        meter_id = connection.execute(text("SELECT meter_id FROM meters WHERE code = 'models'")).scalar_one()
    asked = FillAsked("fil_1", merchants["acme"], meter_id, NOON, NOON + timedelta(hours=1))
    seal(stream, Envelope(PRODUCER, stream.next_offset + 1, build_fill(asked, NOON)))

    def meters(event_id: str) -> Sequence[tuple[str, str | None]]:
        windows = ask(api, keys, f"/v1/events/{event_id}")["windows"]
        return [(window["meter"], window["value"]) for window in windows if window["aggregation"] == "unique"]

    assert meters("in") == [("models", "large"), ("users", "u-1")]
    assert meters("out") == [("users", "u-1")]
