"""Plans and their events as plain dicts, read back from the bytes that would be sent."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import numpy as np

from runtime.traffic.events import REFUSED_AT_DOOR, identify
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.plan import TrafficPlan, plan_for_last_month
from runtime.traffic.requests import Request, requests_of

NOW = datetime(2026, 3, 10, 9, 30, tzinfo=UTC)


def small_plan(**fields: Any) -> TrafficPlan:
    """Twenty thousand events of four merchants in the last days of February 2026, unless told otherwise."""
    return plan_for_last_month(NOW, **({"events": 20_000, "merchants": 4, "customers": 6} | fields))


def all_requests(plan: TrafficPlan) -> Iterator[Request]:
    """Every request of a plan in order."""
    for chunk in requests_of(plan):
        yield from chunk


def sent_events(plan: TrafficPlan) -> Iterator[tuple[int, int, dict[str, Any]]]:
    """(merchant, ordinal, event) of everything sent, numbers as exact decimals."""
    for request in all_requests(plan):
        events = json.loads(request.body, parse_float=Decimal, parse_int=Decimal)
        assert len(events) == len(request.ordinals)
        for ordinal, event in zip(request.ordinals.tolist(), events, strict=True):
            yield request.merchant, ordinal, event


def fully_answered(plan: TrafficPlan) -> SimulatorLedger:
    """A ledger as it stands when a correct door has answered every request."""
    ledger = SimulatorLedger(plan)
    for request in all_requests(plan):
        bad = np.flatnonzero(np.isin(identify(plan, request.ordinals).kinds, REFUSED_AT_DOOR))
        ledger.acknowledge(request.ordinals, dict.fromkeys(bad.tolist(), "bad"))
    return ledger
