from __future__ import annotations

from collections import defaultdict
from datetime import datetime
from decimal import Decimal
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from runtime.traffic.account import account_of
from runtime.traffic.meters import METERS, zone_of
from runtime.traffic.usage import month_of, usage_of
from tests.runtime.traffic.plans import fully_answered, sent_events, small_plan

Cell = tuple[int, int, int]


def naive_usage(events: list[tuple[int, dict[str, Any]]]) -> dict[Cell, Decimal]:
    """Usage of February 2026 by the definitions: one event, one meter at a time, in plain decimals."""
    cells: dict[Cell, list[dict[str, Any]]] = defaultdict(list)
    for merchant, event in events:
        customer = int(event["subject"][2:])
        local = datetime.fromisoformat(event["time"]).astimezone(ZoneInfo(zone_of(customer)))
        if (local.year, local.month) != (2026, 2):
            continue
        for index, meter in enumerate(METERS):
            if meter.type != event["type"] or (meter.only_eu and event["data"]["region"] != "eu"):
                continue
            cells[merchant, customer, index].append(event)
    return {cell: aggregate(METERS[cell[2]].aggregation, found) for cell, found in cells.items()}


def aggregate(aggregation: str, events: list[dict[str, Any]]) -> Decimal:
    """One customer's usage of one meter, from all of its events."""
    values: list[Decimal] = [event["data"]["value"] for event in events]
    match aggregation:
        case "count":
            return Decimal(len(events))
        case "sum":
            return sum(values, Decimal(0))
        case "max":
            return max(values)
        case "latest":
            newest = max(range(len(events)), key=lambda index: str(events[index]["time"]))
            return values[newest]
        case _:
            return Decimal(len({event["data"]["user"] for event in events}))


@pytest.mark.parametrize("seed", [1, 2])
def test_usage_in_columns_agrees_with_naive_decimals(seed: int) -> None:
    """Every quantity of every customer is equal to the last digit, months counted in three zones."""
    plan = small_plan(seed=seed, events=12_000)
    _account, stored = account_of(fully_answered(plan))
    usage = usage_of(plan, stored, month_of(plan))
    firsts = {}
    for merchant, ordinal, event in sorted(sent_events(plan), key=lambda sent: sent[1]):
        if stored[ordinal]:
            firsts[ordinal] = (merchant, event)
    expected = naive_usage(list(firsts.values()))
    assert {(m, c, j): quantity for m, c, j, quantity in usage.used()} == expected
    assert usage.events < len(firsts), "customers east of Greenwich have begun the next month"
