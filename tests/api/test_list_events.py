"""Listings over real stores: every copy once, whatever arrives meanwhile, and only one's own."""

from __future__ import annotations

import time
from typing import Any

import httpx

from tests.api.conftest import Stream
from tests.api.test_event_fate import Keys, Merchants, ask, said
from tests.streams.builders import minutes

SETTLED_S = 0.6


def wait_until_listed() -> None:
    """A listing leaves the last half second out."""
    time.sleep(SETTLED_S)


def all_pages(api: httpx.Client, keys: Keys, query: str, cursor: str = "") -> list[dict[str, Any]]:
    """The events of every page, from a cursor on if one is given."""
    events: list[dict[str, Any]] = []
    while True:
        page = ask(api, keys, f"/v1/events?{query}{cursor}")
        events += page["events"]
        if page["next_cursor"] is None:
            return events
        cursor = f"&cursor={page['next_cursor']}"


def test_pages_show_every_copy_once_and_stand_still_while_events_arrive(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """What arrives between two pages is in neither; a new listing has it on top."""
    for block in range(3):
        stream([said(merchants, f"e-{block}-{number}") for number in range(4)], [said(merchants, f"e-{block}-0")])
    wait_until_listed()
    first = ask(api, keys, "/v1/events?limit=4")
    stream([said(merchants, "new")])
    wait_until_listed()

    rest = all_pages(api, keys, "limit=4", f"&cursor={first['next_cursor']}")

    shown = [(event["id"], event["lies"]["offset"], event["lies"]["position"]) for event in first["events"] + rest]
    assert len(shown) == len(set(shown)) == 15
    assert "new" not in [place[0] for place in shown]
    stored = [event["stored_at"] for event in first["events"] + rest]
    assert stored == sorted(stored, reverse=True)
    assert ask(api, keys, "/v1/events?limit=1")["events"][0]["id"] == "new"


def test_filters_are_about_what_they_say(api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants) -> None:
    """Customer, type, fate, source, id and the time of occurrence, alone and together."""
    stream(
        [
            said(merchants, "one", at=minutes(0)),
            said(merchants, "two", at=minutes(1), subject="c-2"),
            said(merchants, "three", at=minutes(2), type="strange", source="sensor"),
            said(merchants, "one", at=minutes(0)),
            said(merchants, "theirs", merchant="other"),
        ]
    )
    wait_until_listed()

    def ids(query: str) -> list[str]:
        return sorted(event["id"] for event in all_pages(api, keys, query))

    assert ids("limit=2") == ["one", "one", "three", "two"]
    assert ids("subject=c-2") == ["two"]
    assert ids("type=strange") == ids("fate=held") == ids("source=sensor") == ids("id=three") == ["three"]
    assert ids("fate=duplicate") == ["one"]
    assert ids("from=2023-11-20T12:01:00Z&to=2023-11-20T12:02:00Z") == ["two"]
    assert ids("from=2023-11-20T13:01:00%2B01:00&type=call") == ["two"]
    assert ids("subject=c-1&fate=stored") == ["one"]
    assert ids("subject=' OR 1=1 --") == []
    assert [event["id"] for event in ask(api, keys, "/v1/events", "other")["events"]] == ["theirs"]


REFUSED = [
    ("limit=0", "parameter_invalid"),
    ("limit=1001", "parameter_invalid"),
    ("limit=1e2", "parameter_invalid"),
    ("limit=%D9%A1", "parameter_invalid"),
    ("fate=lost", "parameter_invalid"),
    ("from=yesterday", "parameter_invalid"),
    ("to=9999-12-31", "parameter_invalid"),
    ("merchant=other", "parameter_unknown"),
    ("merchant_id=other", "parameter_unknown"),
    ("subject=a&subject=b", "parameter_repeated"),
    ("subject=%00", "parameter_invalid"),
    ("cursor=abc", "cursor_invalid"),
    ("cursor=" + "A" * 500, "cursor_invalid"),
    ("cursor=W10", "cursor_invalid"),
]


def test_what_is_not_understood_is_refused(api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """With a problem document that names the parameter; nothing is ignored."""
    for query, code in REFUSED:
        answer = api.get(f"/v1/events?{query}", headers=keys["acme"])
        assert (answer.status_code, answer.json()["code"]) == (422, code), query
        assert answer.headers["content-type"] == "application/problem+json"


def test_a_cursor_belongs_to_its_question_and_its_merchant(
    api: httpx.Client, keys: Keys, stream: Stream, merchants: Merchants
) -> None:
    """Other filters or another key make it void, so that no listing skips anything unseen."""
    stream([said(merchants, "one"), said(merchants, "two"), said(merchants, "x", merchant="other")])
    wait_until_listed()
    cursor = ask(api, keys, "/v1/events?limit=1")["next_cursor"]

    other_question = api.get(f"/v1/events?limit=1&type=call&cursor={cursor}", headers=keys["acme"])
    other_key = api.get(f"/v1/events?limit=1&cursor={cursor}", headers=keys["other"])

    assert other_question.json()["code"] == other_key.json()["code"] == "cursor_invalid"
