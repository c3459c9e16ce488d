"""The fate of each correction: a table of what is asked against what is known of the key."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from ingest.event import AMEND, BACKFILL, RELEASE, RETRACT
from streams.arrow import one_chunk
from streams.dedupe import FateCodes
from streams.key_state import COUNTED, NOTHING, UNKNOWN_EVENT, WAITING, States
from streams.measure import REASON_CODES, REASONS, Measured
from streams.rows import CONFLICT, DUPLICATE, HELD, REJECTED, RETRACTION, STORED

Flags = npt.NDArray[np.bool_]

# Why a correction waits: nobody knows its event, or its backfill is still open.
WHY = (*REASONS, UNKNOWN_EVENT, "backfill")
NO_EVENT, IN_BACKFILL = len(REASONS), len(REASONS) + 1


@dataclass(frozen=True, slots=True)
class Fates:
    """For each correction its fate, and the place in WHY of what holds or rejects it."""

    fates: FateCodes
    why: npt.NDArray[np.int64]


def judge(events: pa.Table, measured: Measured, states: States, originals: pa.Table) -> Fates:
    """Judge corrections (CORRECTION_SCHEMA), measured by their block's catalog, against their keys' states.

                  counted                      waiting                     gone           nothing
        retract   retraction                   retraction                  duplicate      held: unknown_event
        amend     same: duplicate              good: stored                good: stored   held: unknown_event
                  good: stored, else rejected  unknown: held, rejected     else rejected
        release   duplicate                    same and good: stored       duplicate      duplicate
                                               same and bad: rejected
                                               else duplicate
        backfill  same: duplicate              same: duplicate             held, or bad: rejected
                  else conflict                else conflict

    ``same`` compares with the body of the row that gave the state; ``unknown`` is a meter or customer that is missing.
    """
    action, state = one_chunk(events, "action").to_numpy(), states.state
    body = np.append(one_chunk(originals, "body_hash").to_numpy(), np.uint64(0))
    same = one_chunk(events, "body_hash").to_numpy() == body[states.row]
    bad, good = measured.bad, measured.reason == 0
    there = (state == COUNTED) | (state == WAITING)
    fates = np.full(len(action), DUPLICATE, dtype=np.int8)
    why = measured.reason.astype(np.int64)

    fates[(action == RETRACT) & there] = RETRACTION
    amends = (action == AMEND) & ~((state == COUNTED) & same)
    fates[amends] = np.where(good, STORED, np.where(~bad & (state == WAITING), HELD, REJECTED))[amends]
    releases = (action == RELEASE) & (state == WAITING) & same
    fates[releases] = np.where(good, STORED, np.where(bad, REJECTED, DUPLICATE))[releases]
    backfills = action == BACKFILL
    fates[backfills] = np.where(there, np.where(same, DUPLICATE, CONFLICT), np.where(bad, REJECTED, HELD))[backfills]
    why[backfills & (fates == HELD)] = IN_BACKFILL
    unknown = ((action == RETRACT) | (action == AMEND)) & (state == NOTHING)
    fates[unknown], why[unknown] = HELD, NO_EVENT
    why[(fates != HELD) & (fates != REJECTED)] = REASON_CODES[""]
    return Fates(fates, why)
