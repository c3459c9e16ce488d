"""I7: nothing of one merchant can be seen with another's key, by any door or parameter."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import numpy as np

from catalog.keys import create_key, revoke_key
from core.db import open_engine, transaction
from runtime.settings import Settings
from tests.checker.expected import Expected
from tests.checker.result import InvariantResult
from tests.checker.stores import Stores

SAMPLE = 10


@contextmanager
def keys_of(settings: Settings, expected: Expected, merchants: list[int]) -> Iterator[dict[int, str]]:
    """A key for each of some merchants, by index, for as long as the block runs."""
    engine = open_engine(settings.postgres_url, pool_size=1)
    with transaction(engine) as connection:
        made = {index: create_key(connection, expected.plan.merchant_code(index), "checker") for index in merchants}
    try:
        yield {index: key.key for index, key in made.items()}
    finally:
        with transaction(engine) as connection:
            for key in made.values():
                revoke_key(connection, key.key_id)
        engine.dispose()


def tenants_apart(stores: Stores, expected: Expected, keys: dict[int, str]) -> InvariantResult:
    """I7, tried with two merchants' keys at every door that reads."""
    faults: list[str] = []
    tried = 0
    for mine, key in keys.items():
        others = np.flatnonzero(expected.counted & (expected.merchants != mine))[:SAMPLE]
        for ordinal in others.tolist():
            tried += 1
            event_id = expected.plan.event_id(ordinal)
            if ask(stores, f"/v1/events/{event_id}", key).status_code != 404:
                faults.append(f"event {event_id} is shown with the key of merchant {mine}")
        listed = list(pages(stores, key))
        tried += len(listed)
        wrong = [event_id for event_id in listed if owner_of(expected, event_id) not in (None, mine)]
        faults += [f"event {event_id} is listed with the key of merchant {mine}" for event_id in wrong]
        faults += foreign_usage(stores, expected, mine, key)
    for door in ("/v1/events", "/v1/usage", f"/v1/events/{expected.plan.event_id(0)}"):
        for headers in ({}, {"Authorization": "Bearer bb_" + "0" * 43}):
            tried += 1
            if stores.doors.get(door, headers=headers).status_code != 401:
                faults.append(f"{door} answers without a valid key")
    figures: dict[str, int | str] = {"merchants": len(keys), "answers": tried}
    return InvariantResult("I7", "no merchant sees another's", figures, tuple(faults))


def foreign_usage(stores: Stores, expected: Expected, mine: int, key: str) -> list[str]:
    """What is wrong with the usage that a key shows: merchants named by parameter, or more than one's own."""
    code = expected.plan.merchant_code(mine)
    faults = [
        f"a merchant may be named in a query: {name}"
        for name in ("merchant", "merchant_id", "merchant_ids")
        if ask(stores, f"/v1/usage?{name}=sim-0000", key).status_code != 422
    ]
    shown: dict[str, Any] = ask(stores, "/v1/usage?by=total&limit=10000", key).json()
    customers = {row[0] for row in stores.sql(
        "SELECT c.customer_id FROM customers AS c JOIN merchants AS m USING (merchant_id) WHERE m.code = %(code)s",
        code=code,
    )}  # fmt: skip
    foreign = {row["customer_id"] for row in shown["usage"]} - customers
    return faults + [f"usage of {customer} is shown to {code}" for customer in sorted(map(str, foreign))]


def pages(stores: Stores, key: str, pages_max: int = 5) -> Iterator[str]:
    """The ids on the first pages of a key's listing."""
    cursor = ""
    for _ in range(pages_max):
        page = ask(stores, f"/v1/events?limit=500{cursor}", key).json()
        yield from (event["id"] for event in page["events"])
        if page["next_cursor"] is None:
            return
        cursor = f"&cursor={page['next_cursor']}"


def owner_of(expected: Expected, event_id: str) -> int | None:
    """The merchant that sent an event of the plan; None for an event that is not of the plan."""
    source, _, number = event_id.partition("-")
    if source != expected.plan.source or not number.isdecimal() or int(number) >= expected.plan.events:
        return None
    return int(expected.merchants[int(number)])


def ask(stores: Stores, path: str, key: str) -> httpx.Response:
    """A question with a key."""
    return stores.doors.get(path, headers={"Authorization": f"Bearer {key}"})
