"""I1 and I2: each acknowledged event once, no refused one ever; asked of the store, and of the public door."""

from __future__ import annotations

import random

import numpy as np

from runtime.traffic.account import Flags
from tests.checker.expected import Expected
from tests.checker.result import InvariantResult
from tests.checker.stores import Ints, Stores

ASKED_AT_THE_DOOR = 40
COUNTED_FATES = {"billed", "late", "parked", "drafted", "open", "unpriced", "uncounted"}

# All ids of a plan begin with its seed and a dash, and end with the ordinal.
ORDINAL = "toInt64(substring(event_id, 10))"
# Of an event that was corrected the last correction that took effect says whether it counts.
CORRECTS = "action <> 'event' AND fate IN ('stored', 'retraction')"
COUNTED = f"""
    SELECT ordinal, toInt64(sum(counted)) AS copies FROM (
        SELECT {ORDINAL} AS ordinal, countIf({CORRECTS}) AS corrections,
            argMaxIf(fate, (stored_at, kafka_offset, position), {CORRECTS}) AS last,
            if(corrections > 0, toUInt64(last = 'stored'), countIf(fate = 'stored')) AS counted
        FROM usage_events WHERE startsWith(event_id, {{prefix:String}}) GROUP BY ordinal, key
    ) GROUP BY ordinal HAVING copies > 0
"""
CORRECTED = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_events
    WHERE startsWith(event_id, {{prefix:String}}) AND {CORRECTS} GROUP BY ordinal
"""
SET_ASIDE = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_events
    WHERE startsWith(event_id, {{prefix:String}}) AND fate IN ('held', 'rejected') GROUP BY ordinal
"""
ANY_ROW = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_events
    WHERE startsWith(event_id, {{prefix:String}}) GROUP BY ordinal
"""
KEYS_TWICE = """
    SELECT toInt64(count()) - toInt64(uniqExact(key)), toInt64(count()) FROM usage_events
    WHERE fate = 'stored' AND action = 'event' AND startsWith(event_id, {prefix:String})
"""


def each_once(stores: Stores, expected: Expected, keys: dict[int, str]) -> InvariantResult:
    """I1. ``keys`` are API keys of some merchants, by index: events of theirs are asked for at the door as well."""
    plan = expected.plan
    prefix = f"{plan.source}-"
    counted, aside, corrections = (
        copies_of(expected, *stores.usage_pairs(statement, prefix=prefix))
        for statement in (COUNTED, SET_ASIDE, CORRECTED)
    )
    # The generator does not know whether an event that somebody corrected is to count; never is it to count twice.
    as_sent = corrections == 0
    (twice, rows), *_ = stores.usage(KEYS_TWICE, prefix=prefix)
    faults = named(expected, expected.counted & (counted == 0) & as_sent, "was acknowledged and is lost")
    faults += named(expected, counted > 1, "is counted more than once")
    faults += named(expected, ~expected.counted & (counted > 0) & as_sent, "is counted and should not be")
    faults += named(expected, expected.set_aside & (aside == 0), "was acknowledged and is not set aside")
    if int(twice):
        faults.append(f"{twice} rows repeat a key that is counted already")
    asked, wrong = ask_the_door(stores, expected, expected.counted & as_sent, keys)
    figures: dict[str, int | str] = {
        "acknowledged": expected.account.accepted,
        "expected": int(np.count_nonzero(expected.counted)),
        "found": int(rows),
        "asked at the door": asked,
    }
    return InvariantResult("I1", "each acknowledged event is counted exactly once", figures, (*faults, *wrong))


def none_refused(stores: Stores, expected: Expected) -> InvariantResult:
    """I2."""
    plan = expected.plan
    prefix = f"{plan.source}-"
    anywhere = copies_of(expected, *stores.usage_pairs(ANY_ROW, prefix=prefix))
    counted = copies_of(expected, *stores.usage_pairs(COUNTED, prefix=prefix))
    corrections = copies_of(expected, *stores.usage_pairs(CORRECTED, prefix=prefix))
    faults = named(expected, expected.refused & (anywhere > 0), "was refused at the door and is in the store")
    faults += named(expected, expected.set_aside & (counted > 0) & (corrections == 0), "was set aside and is counted")
    figures: dict[str, int | str] = {
        "refused": expected.account.refused,
        "set aside": int(np.count_nonzero(expected.set_aside)),
    }
    return InvariantResult("I2", "no refused or rejected event is billed", figures, tuple(faults))


def copies_of(expected: Expected, ordinals: Ints, copies: Ints) -> Ints:
    """How many rows each ordinal of the plan has."""
    counts = np.zeros(expected.plan.events, dtype=np.int64)
    inside = (ordinals >= 0) & (ordinals < expected.plan.events)
    counts[ordinals[inside]] = copies[inside]
    return counts


def ask_the_door(stores: Stores, expected: Expected, counted: Flags, keys: dict[int, str]) -> tuple[int, list[str]]:
    """Ask for the fate of some events that must count over HTTP, each with its own merchant's key."""
    mine = np.flatnonzero(counted & np.isin(expected.merchants, list(keys)))
    chosen = random.Random(expected.plan.seed).sample(mine.tolist(), min(ASKED_AT_THE_DOOR, len(mine)))
    faults = []
    for ordinal in chosen:
        event_id = expected.plan.event_id(ordinal)
        key = keys[int(expected.merchants[ordinal])]
        answer = stores.doors.get(f"/v1/events/{event_id}", headers={"Authorization": f"Bearer {key}"})
        if answer.status_code != 200:
            faults.append(f"the door answers {answer.status_code} for event {event_id}")
            continue
        said = answer.json()
        stored = [copy for copy in said["copies"] if copy["fate"] == "stored"]
        if len(stored) != 1 or said["fate"] not in COUNTED_FATES:
            faults.append(f"the door calls event {event_id} {said['fate']}, with {len(stored)} counted copies")
    return len(chosen), faults


def named(expected: Expected, flags: Flags, what: str) -> list[str]:
    """A sentence for each ordinal that is flagged."""
    return [f"event {expected.plan.event_id(ordinal)} {what}" for ordinal in np.flatnonzero(flags).tolist()[:1_000]]
