"""The API's manners: keys, errors and probes."""

from __future__ import annotations

from itertools import product

import httpx
from sqlalchemy import Engine, text

from api.config import ApiParts
from clickhouse.client import open_usage_store
from core.db import open_engine, transaction
from tests.api.conftest import serving
from tests.api.test_event_fate import Keys, Merchants

DOORS = ["/v1/events", "/v1/events/e-1", "/v1/usage"]


def test_without_a_valid_key_nothing_is_told(api: httpx.Client, merchants: Merchants) -> None:
    """401 with a problem document, the same whatever was wrong with the key."""
    headers = [None, "Bearer bb_" + "x" * 43, "Bearer nonsense", "Basic bb_x", "bb_" + "x" * 43]
    told = []
    for door, header in product(DOORS, headers):
        answer = api.get(door, headers={} if header is None else {"Authorization": header})
        assert answer.status_code == 401, (door, header)
        assert answer.headers["content-type"] == "application/problem+json"
        assert answer.headers["www-authenticate"] == "Bearer"
        told.append(answer.json())
    assert told[0]["code"] == "unauthorized"
    assert all(one == told[0] for one in told)


def test_a_revoked_key_and_two_keys_at_once_are_refused(
    api: httpx.Client, keys: Keys, books: Engine, merchants: Merchants
) -> None:
    """A key that was never used before its end opens nothing; neither do two in one request."""
    with transaction(books) as connection:
        connection.execute(text("UPDATE api_keys SET revoked_at = now()"))

    assert api.get("/v1/usage", headers=keys["acme"]).status_code == 401
    both = [("Authorization", keys[code]["Authorization"]) for code in ("acme", "other")]
    assert api.get("/v1/usage", headers=both).status_code == 401


def test_answers_are_not_to_be_kept_and_errors_are_problem_documents(
    api: httpx.Client, keys: Keys, merchants: Merchants
) -> None:
    """Unknown paths and methods as well."""
    assert api.get("/v1/usage", headers=keys["acme"]).headers["cache-control"] == "no-store"
    nowhere = api.get("/v1/nothing")
    method = api.post("/v1/usage")
    assert [answer.json()["code"] for answer in (nowhere, method)] == ["not_found", "method_not_allowed"]
    assert {answer.headers["content-type"] for answer in (nowhere, method)} == {"application/problem+json"}
    assert api.get("/healthz").json() == {"status": "ok"}


def test_a_store_that_is_away_is_a_503_with_a_time_to_come_again(
    parts: ApiParts, keys: Keys, merchants: Merchants
) -> None:
    """The usage store gone after the key was checked, and the books gone before."""
    away = open_usage_store("http://127.0.0.1:1/nothing", connect_timeout_s=1)
    without_usage = ApiParts(parts.books, away, parts.topic, parts.clock, parts.find_key, parts.look_at_log)
    gone = open_engine("postgresql://nobody@127.0.0.1:1/nothing", connect_timeout_s=1)
    without_books = ApiParts(gone, parts.store, parts.topic, parts.clock, parts.find_key, parts.look_at_log)
    for broken in (without_usage, without_books):
        with serving(broken) as api:
            for door in DOORS:
                answer = api.get(door, headers=keys["acme"])
                assert (answer.status_code, answer.json()["code"]) == (503, "store_unavailable"), door
                assert answer.headers["retry-after"] == "2"
