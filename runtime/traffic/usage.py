"""The exact usage that stored events amount to, worked out from the plan alone, in integers of a millionth."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt

from runtime.traffic.account import Flags
from runtime.traffic.draws import Ints
from runtime.traffic.events import USERS, Facts, Identity, facts_of, identify, known_types, shape_of
from runtime.traffic.meters import METERS, SimMeter, zone_of
from runtime.traffic.plan import EPOCH, TrafficPlan
from runtime.traffic.requests import chunk_count, chunk_ordinals

MILLIONTH = Decimal("0.000001")


@dataclass(frozen=True, slots=True)
class Usage:
    """Usage of one calendar month, counted in each customer's own zone.

    ``millionths[meter, merchant, customer]``; ``events`` is how many stored events fall into the month.
    """

    plan: TrafficPlan
    millionths: npt.NDArray[np.int64]
    events: int

    def quantity(self, merchant: int, customer: int, meter: int) -> Decimal:
        """The exact usage of one meter."""
        return int(self.millionths[meter, merchant, customer]) * MILLIONTH

    def used(self) -> Iterator[tuple[int, int, int, Decimal]]:
        """All (merchant, customer, meter, quantity) with usage, merchants in order."""
        for merchant, customer, meter in np.argwhere(self.millionths.transpose(1, 2, 0)).tolist():
            yield merchant, customer, meter, self.quantity(merchant, customer, meter)


def month_of(plan: TrafficPlan) -> date:
    """The first day of the calendar month in which the plan's events begin."""
    return plan.first_at.date().replace(day=1)


def usage_of(plan: TrafficPlan, stored: Flags, month: date) -> Usage:
    """Add up the stored events of a month by the definitions of the meters."""
    shape = shape_of(plan)
    cells = plan.merchants * plan.customers
    starts, ends = _month_bounds(plan, month)
    meters = [_Running.start(meter, known_types(plan).index(meter.type), cells) for meter in METERS[: plan.meters]]
    events = 0
    for chunk in range(chunk_count(plan)):
        ordinals = chunk_ordinals(plan, chunk)
        ordinals = ordinals[stored[ordinals]]
        facts = facts_of(plan, shape, _as_roots(plan, ordinals))
        inside = (facts.times_us >= starts[facts.customers]) & (facts.times_us < ends[facts.customers])
        events += int(np.count_nonzero(inside))
        for running in meters:
            running.add(facts, inside, facts.merchants * plan.customers + facts.customers)
    totals = np.stack([running.total() for running in meters])
    return Usage(plan, totals.reshape(plan.meters, plan.merchants, plan.customers), events)


def _as_roots(plan: TrafficPlan, ordinals: Ints) -> Identity:
    """Ordinals that are stored are roots: what they say is drawn from themselves."""
    identity = identify(plan, ordinals)
    assert bool((identity.roots == ordinals).all()), "only first copies are stored"
    return identity


def _month_bounds(plan: TrafficPlan, month: date) -> tuple[Ints, Ints]:
    """Start and end of the month for each customer, in microseconds from 1970."""
    after = (month.replace(day=28) + timedelta(days=4)).replace(day=1)
    zones = [zone_of(customer) for customer in range(plan.customers)]
    return _midnights(month, zones), _midnights(after, zones)


def _midnights(day: date, zones: list[str]) -> Ints:
    instants = (datetime(day.year, day.month, day.day, tzinfo=ZoneInfo(zone)) for zone in zones)
    return np.array([(instant - EPOCH) // timedelta(microseconds=1) for instant in instants], dtype=np.int64)


@dataclass(slots=True)
class _Running:
    """One meter over all customers (cells), fed chunk by chunk."""

    meter: SimMeter
    type: int
    totals: Ints
    last_us: Ints
    seen: Ints

    @staticmethod
    def start(meter: SimMeter, type_: int, cells: int) -> _Running:
        zeros = np.zeros(cells, dtype=np.int64)
        return _Running(meter, type_, zeros, np.full(cells, -1, dtype=np.int64), np.zeros(0, dtype=np.int64))

    def add(self, facts: Facts, inside: Flags, cells: Ints) -> None:
        chosen = inside & (facts.types == self.type)
        if self.meter.only_eu:
            chosen &= facts.regions == 0
        own, values = cells[chosen], facts.values[chosen]
        match self.meter.aggregation:
            case "count":
                np.add.at(self.totals, own, 1_000_000)
            case "sum":
                np.add.at(self.totals, own, values)
            case "max":
                np.maximum.at(self.totals, own, values)
            case "latest":
                self._keep_latest(own, values, facts.times_us[chosen])
            case "unique":
                self.seen = np.union1d(self.seen, own * USERS + facts.users[chosen])

    def _keep_latest(self, cells: Ints, values: Ints, times_us: Ints) -> None:
        order = np.lexsort((times_us, cells))
        ends = order[np.flatnonzero(np.append(np.diff(cells[order]) != 0, len(order) > 0))]
        newer = ends[times_us[ends] > self.last_us[cells[ends]]]
        self.last_us[cells[newer]] = times_us[newer]
        self.totals[cells[newer]] = values[newer]

    def total(self) -> Ints:
        if self.meter.aggregation == "unique":
            np.add.at(self.totals, self.seen // USERS, 1_000_000)
        return self.totals
