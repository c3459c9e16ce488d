"""Order, repeats and request cuts leave no trace: the same windows, charges and invoices, byte for byte.

Two merchants sell the same to the same customers. One is sent two hours of events once and in order; the other the
same events shuffled, half of them again, in requests cut anywhere, by four senders at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime, timedelta
from decimal import Decimal
from random import Random
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import text

from catalog.document import read_catalog
from catalog.keys import create_key
from core.clock import SystemClock
from core.db import transaction
from runtime.close import close_books
from runtime.commands.apply import write_catalog
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import Parts
from runtime.traffic.plan import previous_month_end

SEED = 20_231_120
EVENTS = 24_000
CUSTOMERS = 6
SPAN_S = 2 * 3600
SENDERS = 4
REQUEST_EVENTS = 700
TYPES = ("llm.request", "api.call", "disk.report")
# What names a merchant's things, and when they were stored, must differ.
OF_ITS_OWN = frozenset(
    "merchant_id customer_id subscription_id price_id meter_id run_id invoice_id number cutoff catalog_version "
    "claimed_at recorded_at created_at issued_at input_hash price_number".split()
)
# Lines with the prices that they name.
BOOKED = {"charge_lines": "(SELECT * FROM charge_lines JOIN charge_prices USING (merchant_id, run_id, price_number))"}

pytestmark = pytest.mark.timeout(300)

Event = dict[str, Any]


def catalog(merchant: str) -> bytes:
    """A meter of each aggregation, with groups and a filter among them, and prices with and without tiers."""
    zones = ("UTC", "Europe/Berlin", "Asia/Tokyo")
    customers = [
        f"  - {{key: c-{n}, name: Customer {n}, zone: {zones[n % 3]}, currency: USD}}\n" for n in range(CUSTOMERS)
    ]
    subscriptions = [f"  - {{customer: c-{n}, plan: payg, start: 2020-01-01}}\n" for n in range(CUSTOMERS)]
    return f"""
merchant: {{code: {merchant}, name: A merchant}}
meters:
  - {{code: calls, event_type: api.call, aggregation: count}}
  - {{code: eu_calls, event_type: api.call, aggregation: count, filters: [{{property: region, op: eq, values: [eu]}}]}}
  - {{code: tokens, event_type: llm.request, aggregation: sum, value: tokens, group_by: [model, region]}}
  - {{code: users, event_type: llm.request, aggregation: unique, value: user}}
  - {{code: smallest, event_type: disk.report, aggregation: min, value: size}}
  - {{code: peak, event_type: disk.report, aggregation: max, value: size, group_by: [region]}}
  - {{code: seats, event_type: disk.report, aggregation: latest, value: seats}}
plans:
  - code: payg
    name: Pay as you go
    currency: USD
    prices:
      - {{meter: calls, model: per_unit, unit_price: "0.0007"}}
      - {{meter: eu_calls, model: per_unit, unit_price: "0.013"}}
      - {{meter: tokens, model: graduated, tiers: [
          {{up_to: "1000.5", unit_price: "0.0123"}}, {{up_to: null, unit_price: "0.0045", flat_price: "1.5"}}]}}
      - {{meter: users, model: per_unit, unit_price: "0.05"}}
      - {{meter: smallest, model: per_unit, unit_price: "0.31"}}
      - {{meter: peak, model: per_unit, unit_price: "0.115"}}
      - {{meter: seats, model: per_unit, unit_price: "12.5"}}
customers:
{"".join(customers)}subscriptions:
{"".join(subscriptions)}""".encode()


def two_hours(random: Random, begins_at: datetime) -> list[Event]:
    """Events in the order in which they occurred, no two at the same instant, over two hours of last month."""
    step = timedelta(seconds=SPAN_S) / EVENTS
    return [
        {
            "id": f"e-{number:06d}",
            "type": random.choice(TYPES),
            "subject": f"c-{random.randrange(CUSTOMERS)}",
            "time": (begins_at + number * step).isoformat(),
            "properties": {
                "tokens": str(Decimal(random.randrange(1, 10**9)).scaleb(-6)),
                "size": str(Decimal(random.randrange(-(10**6), 10**6)).scaleb(-3)),
                "seats": random.randrange(500),
                "user": f"u-{random.randrange(300)}",
                "model": random.choice(("small", "large")),
                "region": random.choice(("eu", "us")),
            },
        }
        for number in range(EVENTS)
    ]


def in_order(events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """Requests as a well-behaved client sends them."""
    return (events[at : at + REQUEST_EVENTS] for at in range(0, len(events), REQUEST_EVENTS))


def shaken(random: Random, events: Sequence[Event]) -> Iterator[Sequence[Event]]:
    """The same events in any order, half of them twice or more, in requests cut anywhere."""
    sent = [*events, *random.choices(events, k=len(events) // 2)]
    random.shuffle(sent)
    while sent:
        size = random.randrange(1, 2 * REQUEST_EVENTS)
        yield sent[:size]
        sent = sent[size:]


def send(parts: Parts, key: str, requests: Iterator[Sequence[Event]], senders: int) -> int:
    """Send all requests through the door; returns how many events it accepted."""
    headers = {"Authorization": f"Bearer {key}", "Content-Type": "application/json"}

    with httpx.Client(base_url=parts.gateway_url, headers=headers, timeout=60) as door:

        def post(events: Sequence[Event]) -> int:
            answer = door.post("/v1/events", content=orjson.dumps(events))
            assert answer.status_code == 202, answer.text
            return int(answer.json()["accepted"])

        with ThreadPoolExecutor(senders) as threads:
            return sum(threads.map(post, requests))


def sell(parts: Parts, merchant: str) -> str:
    """Apply a merchant's catalog; returns a key to send with."""
    write_catalog(parts.books, parts.store, read_catalog(catalog(merchant)))
    with transaction(parts.books) as connection:
        return create_key(connection, merchant, "test").key


def as_bytes(rows: Sequence[dict[str, Any]]) -> list[bytes]:
    """Rows as text, without what must differ, in an order that no id decides."""
    kept = [{name: value for name, value in row.items() if name not in OF_ITS_OWN} for row in rows]
    return sorted(orjson.dumps(row, default=str, option=orjson.OPT_SORT_KEYS) for row in kept)


def windows_of(parts: Parts, merchant: str, view: str) -> list[bytes]:
    """What a view says of a merchant."""
    with transaction(parts.books) as connection:
        found = connection.execute(text("SELECT merchant_id FROM merchants WHERE code = :code"), {"code": merchant})
        bound = {"merchant": found.scalar_one()}
    sql = f"SELECT * FROM {view} WHERE merchant_id = {{merchant:String}}"
    names = parts.store.query_frame(f"{sql} LIMIT 0", bound).columns
    shown = ", ".join(f"toString({name}) AS {name}" for name in names)
    return as_bytes(parts.store.query_frame(sql.replace("*", shown), bound).to_dicts())


def booked(parts: Parts, merchant: str, table: str) -> list[bytes]:
    """What a table of the books says of a merchant."""
    sql = (
        f"SELECT t.* FROM {BOOKED.get(table, table)} AS t JOIN merchants AS m USING (merchant_id) WHERE m.code = :code"
    )
    with transaction(parts.books) as connection:
        rows = connection.execute(text(sql), {"code": merchant}).mappings().all()
    return as_bytes([dict(row) for row in rows])


def test_shuffled_and_repeated_events_make_the_same_windows_and_bills(line: Parts) -> None:
    """Byte for byte the same, apart from ids and times of storing; every repeat is counted as one."""
    random, clock = Random(SEED), SystemClock()
    ends_at = previous_month_end(clock.now())
    events = two_hours(random, ends_at - timedelta(hours=20))
    keys = {merchant: sell(line, merchant) for merchant in ("clean", "shaken")}

    accepted = send(line, keys["clean"], in_order(events), 1)
    accepted += send(line, keys["shaken"], shaken(random, events), SENDERS)
    wait_until_drained(line.books, line.admin, line.topic, clock, acknowledged=accepted)
    close_books(line.books, line.store, clock, f"{ends_at - timedelta(days=1):%Y-%m}", on_step=lambda _step: None)

    assert accepted == 2 * EVENTS + EVENTS // 2
    fates = line.store.query_frame("SELECT toString(fate) AS fate, toInt64(count()) AS n FROM usage_events GROUP BY 1")
    assert dict(fates.rows()) == {"stored": 2 * EVENTS, "duplicate": EVENTS // 2}
    for view in ("usage_by_minute", "usage_by_group", "usage_by_hour", "usage_total"):
        clean = windows_of(line, "clean", view)
        assert len(clean) > CUSTOMERS and windows_of(line, "shaken", view) == clean, f"seed {SEED}, {view}"
    for table in ("charge_lines", "invoices", "invoice_lines"):
        clean = booked(line, "clean", table)
        assert len(clean) >= CUSTOMERS and booked(line, "shaken", table) == clean, f"seed {SEED}, {table}"
