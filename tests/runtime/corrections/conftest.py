"""A line with a meter of every aggregation, a sender that remembers what should count, and what an audit needs."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any

import httpx
import pytest

from catalog.document import read_catalog
from catalog.keys import create_key
from core.clock import SystemClock
from core.db import transaction
from runtime.audit.log import LogReader
from runtime.audit.run import AuditParts, audit
from runtime.commands.apply import write_catalog
from runtime.conservation.drain import wait_until_drained
from runtime.demo.run import Parts
from runtime.embedded.endpoints import Endpoints
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts

AGGREGATIONS = ("count", "sum", "min", "max", "latest", "unique")
METERS = "\n".join(
    f"  - {{code: {one}, event_type: call, aggregation: {one}{'' if one == 'count' else ', value: size'}}}"
    for one in AGGREGATIONS
)
PRICES = "\n".join(f"      - {{meter: {one}, model: per_unit, unit_price: '0.01'}}" for one in AGGREGATIONS)
CATALOG = f"""
merchant: {{code: acme, name: Acme}}
meters:
{METERS}
plans:
  - code: basic
    name: Basic
    currency: USD
    prices:
{PRICES}
customers:
  - {{key: c-1, name: One, zone: UTC, currency: USD}}
  - {{key: c-2, name: Two, zone: UTC, currency: USD}}
subscriptions:
  - {{customer: c-1, plan: basic, start: 2023-01-01}}
  - {{customer: c-2, plan: basic, start: 2023-01-01}}
"""
WITHIN_S = 60

Event = dict[str, Any]


@dataclass
class Sender:
    """A merchant's program: sends through the public doors, and remembers what should count."""

    line: Parts
    audited: AuditParts
    key: str
    alive: dict[str, Event] = field(default_factory=dict)
    sent: int = 0

    def ask(self, method: str, path: str, body: object = None) -> Any:
        """One request to the gateway; its verdict."""
        headers = {"authorization": f"Bearer {self.key}"}
        url = f"{self.line.gateway_url}{path}"
        answer = httpx.request(method, url, json=body, headers=headers, timeout=30)
        assert answer.status_code in {202, 207}, answer.text
        said = answer.json()
        self.sent += said["accepted"]
        return said

    def send(self, events: list[Event]) -> None:
        """Send events; the first of an id counts."""
        assert self.ask("POST", "/v1/events?backfill=true", events)["rejected"] == []
        for event in events:
            self.alive.setdefault(event["id"], event)

    def correct(self, items: list[dict[str, Any]]) -> None:
        """Send corrections, and follow them."""
        assert self.ask("POST", "/v1/corrections", items)["rejected"] == []
        for item in items:
            if item["action"] == "retract":
                self.alive.pop(item["id"], None)
            else:
                self.alive[item["event"]["id"]] = item["event"]

    def settle(self) -> None:
        """Wait until the stream has all of it."""
        line = self.line
        wait_until_drained(line.books, line.admin, line.topic, SystemClock(), acknowledged=self.sent)

    def agrees(self) -> None:
        """What is shown is what the surviving events say, for every meter; and an audit finds no difference."""
        assert usage(self.line) == expected(list(self.alive.values()))
        self.audit_agrees()

    def audit_agrees(self) -> None:
        """Log, ledger, events and windows tell one story."""
        assert audit(self.audited).findings == ()


def usage(line: Parts) -> dict[tuple[str, str, str], Decimal]:
    """What the views say by customer, meter and minute."""
    sql = "SELECT subject, toString(meter) AS meter, toString(starts_at) AS at, quantity FROM usage_by_minute"
    found = line.store.query_frame(sql)
    return {(subject, meter, at): quantity.normalize() for subject, meter, at, quantity in found.iter_rows()}


def expected(events: list[Event]) -> dict[tuple[str, str, str], Decimal]:
    """The same from events alone, in plain Python."""
    windows: dict[tuple[str, str], list[Event]] = {}
    for event in events:
        minute = datetime.fromisoformat(event["time"]).strftime("%Y-%m-%d %H:%M:00")
        windows.setdefault((event["subject"], minute), []).append(event)
    found: dict[tuple[str, str, str], Decimal] = {}
    for (subject, minute), some in windows.items():
        sizes = [Decimal(str(event["properties"]["size"])) for event in some]
        youngest = max(some, key=lambda event: datetime.fromisoformat(event["time"]))
        values = {
            "count": Decimal(len(some)),
            "sum": sum(sizes, Decimal(0)),
            "min": min(sizes),
            "max": max(sizes),
            "latest": Decimal(str(youngest["properties"]["size"])),
            "unique": Decimal(len({str(event["properties"]["size"]) for event in some})),
        }
        found |= {(subject, meter, minute): value.normalize() for meter, value in values.items()}
    return found


def event(number: int, subject: str = "c-1", size: object = None, day: str = "2023-11-01", **more: Any) -> Event:
    """An event of its own second: twenty a minute."""
    at = f"{day}T10:{number // 20 % 60:02}:{number % 20 * 3:02}Z"
    properties = {"size": number % 7 + 1 if size is None else size}
    return {"id": f"e{number}", "type": "call", "subject": subject, "time": at, "properties": properties, **more}


def until(condition: Callable[[], bool], within_s: float = WITHIN_S) -> None:
    """Poll until it holds."""
    end_s = time.monotonic() + within_s
    while not condition():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.1)


def apply(line: Parts, text: str) -> None:
    """Make the catalog say what a text declares, as the command does."""
    write_catalog(line.books, line.store, read_catalog(text.encode()))


@pytest.fixture
def sender(line: Parts, endpoints: Endpoints) -> Sender:
    """A merchant with six meters and two customers."""
    apply(line, CATALOG)
    with transaction(line.books) as connection:
        key = create_key(connection, "acme").key
    clock = SystemClock()
    reader = LogReader(endpoints.kafka, line.admin, line.topic, clock)
    return Sender(line, AuditParts(line.books, line.store, reader, line.topic, clock), key)


@pytest.fixture
def releasing(line: Parts, endpoints: Endpoints) -> ReleaseParts:
    """What releases on the line."""
    return ReleaseParts(
        line.books, line.store, line.topic, SystemClock(), lambda: LogSender(endpoints.kafka, line.topic, 4)
    )


@pytest.fixture
def log_sender(releasing: ReleaseParts) -> Iterator[LogSender]:
    """A producer of our own messages."""
    made = releasing.open_sender()
    yield made
    made.close()
