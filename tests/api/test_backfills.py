"""Backfills over HTTP: opened, shown, previewed and decided, each merchant's own."""

from __future__ import annotations

import httpx
import pytest
from sqlalchemy import Engine

from core.db import transaction
from ingest.backfill import end, find_backfill
from tests.api.test_event_fate import Keys

SPAN = {"from": "2023-01-01T00:00:00Z", "to": "2023-02-01T00:00:00+01:00"}


def test_a_backfill_is_opened_shown_and_decided(api: httpx.Client, keys: Keys, books: Engine) -> None:
    """Deciding twice says the same; a reverted one is not closed."""
    made = api.post("/v1/backfills", json={**SPAN, "note": "meters of January"}, headers=keys["acme"])
    said = made.json()
    assert (made.status_code, said["state"], said["note"]) == (201, "open", "meters of January")
    assert (said["from"], said["to"]) == ("2023-01-01T00:00:00+00:00", "2023-01-31T23:00:00+00:00")
    door = f"/v1/backfills/{said['id']}"

    shown = api.get(door, headers=keys["acme"]).json()
    assert shown["events"] == dict.fromkeys(shown["events"], 0)
    assert api.get(f"{door}/preview", headers=keys["acme"]).json()["effect"] == []
    assert [one["id"] for one in api.get("/v1/backfills", headers=keys["acme"]).json()["backfills"]] == [said["id"]]
    for _ in range(2):
        closed = api.post(f"{door}/close", headers=keys["acme"])
        assert (closed.status_code, closed.json()["state"]) == (202, "closing")
    assert api.post(f"{door}/revert", headers=keys["acme"]).json()["state"] == "reverting"
    with transaction(books) as connection:
        end(connection, find_backfill(connection, None, said["id"]))
    again = api.post(f"{door}/close", headers=keys["acme"])
    assert (again.status_code, again.json()["code"]) == (409, "backfill_reverted")


def test_backfills_of_others_are_not_there(api: httpx.Client, keys: Keys) -> None:
    """Neither shown nor listed, closed or reverted by another merchant's key, nor without one."""
    made = api.post("/v1/backfills", json=SPAN, headers=keys["acme"]).json()
    door = f"/v1/backfills/{made['id']}"

    for method, path in (
        ("GET", door),
        ("GET", f"{door}/preview"),
        ("POST", f"{door}/close"),
        ("POST", f"{door}/revert"),
    ):
        assert api.request(method, path, headers=keys["other"]).json()["code"] == "backfill_unknown"
        assert api.request(method, path).status_code == 401
    assert api.get("/v1/backfills", headers=keys["other"]).json() == {"backfills": []}
    assert api.post("/v1/backfills", json=SPAN).status_code == 401


@pytest.mark.parametrize(
    ("body", "status", "code"),
    [
        (b"{", 400, "json_malformed"),
        (b"[]", 422, "body_invalid"),
        (b'{"from": "2023-01-01T00:00:00Z", "till": "2023-01-01T00:00:00Z"}', 422, "body_invalid"),
        (b'{"from": "2023-01-01T00:00:00Z"}', 422, "span_invalid"),
        (b'{"from": "2023-01-01", "to": "2023-02-01"}', 422, "span_invalid"),
        (b'{"from": 5, "to": null}', 422, "span_invalid"),
        (b'{"from": "2023-02-01T00:00:00Z", "to": "2023-01-01T00:00:00Z"}', 422, "span_invalid"),
        (b'"' + b"x" * 70_000 + b'"', 413, "body_too_large"),
    ],
)
def test_what_cannot_be_opened_is_refused(api: httpx.Client, keys: Keys, body: bytes, status: int, code: str) -> None:
    """With a code and a sentence; nothing is opened."""
    answer = api.post("/v1/backfills", content=body, headers=keys["acme"])

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert api.get("/v1/backfills", headers=keys["acme"]).json() == {"backfills": []}
