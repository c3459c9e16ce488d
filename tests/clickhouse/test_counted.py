"""Which events count after corrections, held against Python that reads the rules row by row, at any cut-off."""

from __future__ import annotations

import random
from datetime import datetime, timedelta
from typing import Any

import pytest

from clickhouse.client import UsageStore
from clickhouse.report import LATEST
from clickhouse.usage import events_behind
from tests.clickhouse.builders import Row, at, event, events_frame
from tests.clickhouse.naive import alive

START = at("2023-11-09T23:40:00")
STORED = at("2023-11-10T12:00:00")
SEEDS = range(5)


def random_events(seed: int, count: int) -> list[Row]:
    """Rows of few keys with every action and fate, in any order."""
    chance = random.Random(seed)
    rows: list[Row] = []
    for number in range(count):
        action = chance.choice(["event", "event", "retract", "amend", "release", "backfill"])
        fates = ["retraction", "duplicate"] if action == "retract" else ["stored", "held", "duplicate", "rejected"]
        key = f"k{chance.randrange(count // 3)}"
        rows.append(
            event(
                key,
                merchant_id=f"mer_{len(key) % 2}",
                type=chance.choice(["llm.request", "call"]),
                subject=f"c-{chance.randrange(2)}",
                occurred_at=START + timedelta(minutes=chance.randrange(40)),
                stored_at=STORED + timedelta(seconds=chance.randrange(60)),
                kafka_offset=chance.randrange(4),
                position=number,
                action=action,
                fate=chance.choice(fates),
                correction_id="" if action == "event" else f"cor_{number}",
            )
        )
    return rows


@pytest.mark.parametrize("seed", SEEDS)
def test_the_events_that_count_are_those_that_the_rules_leave(usage_store: UsageStore, seed: int) -> None:
    """Now and at any cut-off, whole and by merchant; the last correction of a key decides."""
    rows = random_events(seed, 900)
    usage_store.insert_frame("usage_events", events_frame(rows), token="e")
    place = ("key", "stored_at", "position", "event_id", "subject")

    def found(view: str, where: str = "1") -> list[tuple[Any, ...]]:
        sql = f"SELECT key, stored_at, toInt64(position) AS position, event_id, subject FROM {view} WHERE {where}"
        return sorted(usage_store.query_frame(sql).rows())

    def expected(cutoff: datetime, merchant: str | None = None) -> list[tuple[Any, ...]]:
        left = [row for row in alive(rows, cutoff) if merchant in (None, row["merchant_id"])]
        return sorted(tuple(row[name] for name in place) for row in left)

    assert found("usage_counted") == expected(LATEST)
    assert found("usage_counted", "merchant_id = 'mer_1'") == expected(LATEST, "mer_1")
    for seconds in (-1, 20, 40):
        cutoff = STORED + timedelta(seconds=seconds)
        view = f"usage_counted_at(cutoff = '{cutoff:%Y-%m-%d %H:%M:%S}')"
        assert found(view) == expected(cutoff)
        behind = events_behind(
            usage_store,
            merchant_id="mer_1",
            subject="c-1",
            event_type="call",
            start=START,
            end=START + timedelta(minutes=40),
            cutoff=cutoff,
        )
        own = [
            row["event_id"]
            for row in alive(rows, cutoff)
            if (row["merchant_id"], row["subject"], row["type"]) == ("mer_1", "c-1", "call")
        ]
        assert sorted(behind["event_id"]) == sorted(map(str, own))


def test_fates_are_counted_with_the_corrections(usage_store: UsageStore) -> None:
    """A retraction is a fate of its own; what it took back stays where it was."""
    rows = [
        event("a"),
        event("b"),
        event("a", action="retract", fate="retraction", correction_id="cor_1"),
        event("c", action="backfill", fate="held", reason="backfill", correction_id="bf_1"),
        event("d", action="retract", fate="held", reason="unknown_event", correction_id="cor_2"),
    ]
    usage_store.insert_frame("usage_events", events_frame(rows), token="e")

    found = usage_store.query_frame("SELECT fate, reason, sum(events) AS n FROM event_fates GROUP BY ALL ORDER BY ALL")

    assert found.rows() == [
        ("held", "backfill", 1),
        ("held", "unknown_event", 1),
        ("retraction", "", 1),
        ("stored", "", 2),
    ]
