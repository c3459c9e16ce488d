"""Every acknowledged event, one by one: is it stored exactly once, as the simulator's own ledger says it must be?"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from clickhouse.client import UsageStore
from runtime.traffic.account import Flags, account_of
from runtime.traffic.events import HELD, REJECTED_ANYWHERE, identify
from runtime.traffic.ledger import ACCEPTED, SimulatorLedger
from runtime.traffic.plan import TrafficPlan
from runtime.traffic.requests import chunk_count, chunk_ordinals

SHOWN_MAX = 10

# All ids of a plan begin with its seed and a dash, and end with the ordinal.
ORDINAL = "toInt64(substring(event_id, 10))"
COUNTED = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_counted
    WHERE startsWith(event_id, {{prefix:String}}) GROUP BY ordinal
"""
SET_ASIDE = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_events
    WHERE startsWith(event_id, {{prefix:String}}) AND fate IN ('held', 'rejected') GROUP BY ordinal
"""
# Whoever corrected an event knows better than the plan whether it is to count.
CORRECTED = f"""
    SELECT {ORDINAL} AS ordinal, toInt64(count()) AS copies FROM usage_events
    WHERE startsWith(event_id, {{prefix:String}}) AND action <> 'event' AND fate IN ('stored', 'retraction')
    GROUP BY ordinal
"""


def acknowledged_faults(store: UsageStore, ledger: SimulatorLedger) -> list[str]:
    """Acknowledged events that are lost, counted twice, or counted without having been acknowledged."""
    plan = ledger.plan
    _account, stored = account_of(ledger)
    found, aside, corrected = (_copies(store, plan, sql) for sql in (COUNTED, SET_ASIDE, CORRECTED))
    as_sent = corrected == 0
    faults = _named(plan, stored & (found == 0) & as_sent, "was acknowledged and is not stored")
    faults += _named(plan, found > 1, "is stored more than once")
    faults += _named(plan, ~stored & (found > 0) & as_sent, "is stored and should not be")
    faults += _named(plan, _set_aside(ledger) & (aside == 0), "was acknowledged and is neither held nor rejected")
    return faults


def _copies(store: UsageStore, plan: TrafficPlan, sql: str) -> npt.NDArray[np.int64]:
    """How many rows of each ordinal a question finds."""
    frame = store.query_frame(sql, {"prefix": f"{plan.source}-"})
    counts = np.zeros(plan.events, dtype=np.int64)
    inside = frame["ordinal"].to_numpy() < plan.events
    counts[frame["ordinal"].to_numpy()[inside]] = frame["copies"].to_numpy()[inside]
    return counts


def _set_aside(ledger: SimulatorLedger) -> Flags:
    """Acknowledged events of unknown types and customers, and those whose value is no number."""
    plan = ledger.plan
    flags = np.zeros(plan.events, dtype=np.bool_)
    for chunk in range(chunk_count(plan)):
        identity = identify(plan, chunk_ordinals(plan, chunk))
        flags[identity.ordinals] = np.isin(identity.kinds, [*HELD, *REJECTED_ANYWHERE])
    flags &= ledger.answers == ACCEPTED
    return flags


def _named(plan: TrafficPlan, flags: Flags, what: str) -> list[str]:
    """A sentence for each of the first few ordinals that are flagged, and how many more there are."""
    ordinals = np.flatnonzero(flags).tolist()
    faults = [f"event {plan.event_id(ordinal)} {what}" for ordinal in ordinals[:SHOWN_MAX]]
    if len(ordinals) > SHOWN_MAX:
        faults.append(f"and {len(ordinals) - SHOWN_MAX} more events: each {what}")
    return faults
