"""What the generator's own account says must be true, in integers and decimals. Knows nothing of the product."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np

from runtime.traffic.account import Account, Flags, account_of
from runtime.traffic.events import HELD, REJECTED_ANYWHERE, identify, merchants_of, shape_of
from runtime.traffic.ledger import ACCEPTED, REFUSED, SimulatorLedger
from runtime.traffic.meters import METERS
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import chunk_count, chunk_ordinals
from runtime.traffic.usage import month_of, usage_of

Cell = tuple[str, str, str]


@dataclass(frozen=True)
class Expected:
    """By ordinal: which events must be counted, and which must be set aside. ``merchants`` is each ordinal's merchant.

    ``quantities`` are by merchant code, customer key and meter code, for the calendar month ``month`` in each
    customer's own zone.
    """

    plan: TrafficPlan
    account: Account
    counted: Flags
    set_aside: Flags
    refused: Flags
    merchants: np.ndarray[tuple[int, ...], np.dtype[np.int64]]
    month: date
    quantities: dict[Cell, Decimal]
    month_events: int


def expect(ledger: SimulatorLedger) -> Expected:
    """Work everything out from the plan and the answers."""
    plan = ledger.plan
    account, counted = account_of(ledger)
    set_aside = np.zeros(plan.events, dtype=np.bool_)
    merchants = np.zeros(plan.events, dtype=np.int64)
    shape = shape_of(plan)
    for chunk in range(chunk_count(plan)):
        identity = identify(plan, chunk_ordinals(plan, chunk))
        set_aside[identity.ordinals] = np.isin(identity.kinds, [*HELD, *REJECTED_ANYWHERE])
        merchants[identity.ordinals] = merchants_of(plan, shape, identity)
    answers = np.asarray(ledger.answers)
    month = month_of(plan)
    usage = usage_of(plan, counted, month)
    return Expected(
        plan=plan,
        account=account,
        counted=counted,
        set_aside=set_aside & (answers == ACCEPTED),
        refused=answers == REFUSED,
        merchants=merchants,
        month=month,
        quantities={
            (plan.merchant_code(merchant), plan.customer_key(customer), METERS[meter].code): quantity
            for merchant, customer, meter, quantity in usage.used()
        },
        month_events=usage.events,
    )


def month_bounds(month: date, zone: str) -> tuple[datetime, datetime]:
    """The first instant of a calendar month in a zone, and that of the next."""
    after = date(month.year + month.month // 12, month.month % 12 + 1, 1)
    start, end = (datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for day in (month, after))
    return start, end
