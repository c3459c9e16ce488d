"""Events in columns: what each ordinal is, and what it says. Pure functions of the plan, in any order."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum

import numpy as np
import numpy.typing as npt

from runtime.traffic.draws import Ints, below, bits, draw, hot_and_zipf_weights, pick_table, split, zipf_weights
from runtime.traffic.meters import METERS, TYPES, SimType, types_of
from runtime.traffic.plan import LATE_HOURS, TrafficPlan

MICRO = 1_000_000
USERS = 1_000
# A repeat may point at an event that is itself no plain one; the plain one before it is taken instead.
ROOT_STEPS = 6


class Kind(IntEnum):
    """What becomes of an event when a correct engine receives it."""

    PLAIN = 0
    LATE = 1
    REPEAT = 2
    CONFLICT = 3
    UNKNOWN_CUSTOMER = 4
    UNKNOWN_TYPE = 5
    BAD_TIME = 6
    NO_SUBJECT = 7
    NO_TYPE = 8
    NOT_NUMERIC = 9


COUNTED = (Kind.PLAIN, Kind.LATE)
HELD = (Kind.UNKNOWN_CUSTOMER, Kind.UNKNOWN_TYPE)
REFUSED_AT_DOOR = (Kind.BAD_TIME, Kind.NO_SUBJECT, Kind.NO_TYPE)
# A door that knows the meters turns these away; one that has not heard of them yet lets the stream set them aside.
REJECTED_ANYWHERE = (Kind.NOT_NUMERIC,)


@dataclass(frozen=True, slots=True)
class Shape:
    """Lookup tables of a plan, made once."""

    merchant_table: npt.NDArray[np.int32]
    customer_table: npt.NDArray[np.int32]
    type_table: npt.NDArray[np.int32]
    grains_max: Ints
    grain: Ints
    not_numeric_type: int


@dataclass(frozen=True, slots=True)
class Identity:
    """For each ordinal its kind, and the ordinal whose id it carries (its own unless it repeats or conflicts)."""

    ordinals: Ints
    kinds: npt.NDArray[np.uint8]
    roots: Ints


@dataclass(frozen=True, slots=True)
class Facts:
    """What events say, in columns.

    ``values`` are millionths, ``types`` index ``types_of(plan.meters)``, ``flavours`` hold source, model and region.
    """

    merchants: Ints
    customers: Ints
    types: Ints
    values: Ints
    times_us: Ints
    users: Ints
    flavours: Ints

    @property
    def sources(self) -> Ints:
        """Which of four sources."""
        return self.flavours & 3

    @property
    def models(self) -> Ints:
        """Which of eight models."""
        return (self.flavours >> 2) & 7

    @property
    def regions(self) -> Ints:
        """Which of four regions; 0 is the one that filtered meters count."""
        return (self.flavours >> 5) & 3


def shape_of(plan: TrafficPlan) -> Shape:
    """Make the lookup tables of a plan."""
    kinds = types_of(plan.meters)
    return Shape(
        merchant_table=pick_table(hot_and_zipf_weights(plan.merchants, plan.zipf_exponent, plan.hot_share), 20),
        customer_table=pick_table(zipf_weights(plan.customers, plan.zipf_exponent), 16),
        type_table=pick_table(np.array([kind.share for kind in kinds], dtype=np.float64), 8),
        grains_max=np.array([kind.whole_max * 10**kind.places for kind in kinds], dtype=np.int64),
        grain=np.array([10 ** (6 - kind.places) for kind in kinds], dtype=np.int64),
        not_numeric_type=next((index for index, kind in enumerate(kinds) if _is_summed_alone(plan, kind)), 0),
    )


def _is_summed_alone(plan: TrafficPlan, kind: SimType) -> bool:
    """Whether the one meter over an event type is a sum, so that there is one reason to reject a word for a value."""
    return [meter.aggregation for meter in METERS[: plan.meters] if meter.type == kind.code] == ["sum"]


def kinds_of(plan: TrafficPlan, ordinals: Ints) -> npt.NDArray[np.uint8]:
    """The kind of each ordinal as drawn, before it is known whether a repeat finds something to repeat."""
    third = plan.invalid_share / 4
    half = plan.unknown_share / 2
    shares = [plan.late_share, plan.repeat_share, plan.conflict_share, half, half, third, third, third, third]
    edges = np.cumsum([1 - sum(shares), *shares])
    limits = np.floor(edges[:-1] * 2**32).astype(np.int64)
    return np.searchsorted(limits, bits(draw(plan.seed, 0, ordinals), 0, 32), side="right").astype(np.uint8)


def identify(plan: TrafficPlan, ordinals: Ints) -> Identity:
    """Tell for each ordinal what it is and which event it copies.

    Half of the repeats follow within about two thousand events, the others come any time later. A conflict
    copies an event of an earlier chunk. Where there is nothing to copy yet, the event is a plain one.
    """
    kinds = kinds_of(plan, ordinals)
    roots = ordinals.copy()
    copies = np.flatnonzero((kinds == Kind.REPEAT) | (kinds == Kind.CONFLICT))
    own = ordinals[copies]
    words = draw(plan.seed, 1, own)
    wide = bits(words, 1, 62)
    starts = own // plan.chunk_events * plan.chunk_events
    soon = own - 1 - wide % 2_000
    anywhere = wide % np.maximum(own, 1)
    earlier_chunk = np.where(starts > 0, wide % np.maximum(starts, 1), -1)
    found = np.where(bits(words, 0, 1) == 1, soon, anywhere)
    found = np.where(kinds[copies] == Kind.CONFLICT, earlier_chunk, found)
    found = _step_back_to_plain(plan, np.where(own > 0, found, -1))
    roots[copies] = np.where(found >= 0, found, own)
    kinds[copies[found < 0]] = Kind.PLAIN
    return Identity(ordinals, kinds, roots)


def _step_back_to_plain(plan: TrafficPlan, candidates: Ints) -> Ints:
    """The nearest plain or late ordinal at or before each candidate, or -1 when a few steps find none."""
    found = np.full_like(candidates, -1)
    open_ = candidates.copy()
    for _ in range(ROOT_STEPS):
        kinds = kinds_of(plan, np.maximum(open_, 0))
        fits = (open_ >= 0) & (kinds <= Kind.LATE) & (found < 0)
        found = np.where(fits, open_, found)
        open_ = open_ - 1
    return found


def facts_of(plan: TrafficPlan, shape: Shape, identity: Identity) -> Facts:
    """What each event says: a repeat the same as its root, a conflict the same but for its value."""
    roots = identity.roots
    first = draw(plan.seed, 2, roots)
    second = draw(plan.seed, 3, roots)
    types = shape.type_table[bits(first, 36, 8)].astype(np.int64)
    types[identity.kinds == Kind.NOT_NUMERIC] = shape.not_numeric_type
    grain = shape.grain[types]
    values = (1 + below(second, 0, shape.grains_max[types])) * grain
    conflicts = np.flatnonzero(identity.kinds == Kind.CONFLICT)
    values[conflicts] += (1 + identity.ordinals[conflicts] % 7) * MICRO
    return Facts(
        merchants=shape.merchant_table[bits(first, 0, 20)].astype(np.int64),
        customers=shape.customer_table[bits(first, 20, 16)].astype(np.int64),
        types=types,
        values=values,
        times_us=_times_us(plan, roots, second),
        users=split(bits(first, 44, 20), USERS)[1],
        flavours=bits(second, 54, 10),
    )


def _times_us(plan: TrafficPlan, roots: Ints, words: npt.NDArray[np.uint64]) -> Ints:
    """When each event occurred, in microseconds from 1970; no two events share an instant.

    Every ordinal has a place of its own in time. Late ones are moved back by whole hours and keep to a remainder
    by eight of their own, so that they meet neither the others nor each other.
    """
    late = kinds_of(plan, roots) == Kind.LATE
    hours = np.where(late, 1 + split(bits(words, 52, 8), LATE_HOURS)[1], 0)
    within = (bits(words, 32, 20) * (plan.step_us // 8)) >> 20
    # A remainder of eight per number of hours: 0 for events in time, 1 to 7 for late ones.
    base = plan.first_us // 8 * 8
    place: Ints = roots * (plan.step_us // 8 * 8) + within * 8 + hours
    times: Ints = base + place - hours * (3600 * MICRO)
    return times


def merchants_of(plan: TrafficPlan, shape: Shape, identity: Identity) -> Ints:
    """The merchant of each event alone, without the cost of all its facts."""
    return shape.merchant_table[bits(draw(plan.seed, 2, identity.roots), 0, 20)].astype(np.int64)


def known_types(plan: TrafficPlan) -> tuple[str, ...]:
    """The codes which ``Facts.types`` index."""
    return tuple(kind.code for kind in types_of(plan.meters))


assert len(TYPES) <= 32, "a type's share in the table of 256 must not vanish"
assert LATE_HOURS < 8, "each number of hours needs its own remainder by eight"
