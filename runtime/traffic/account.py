"""What a correct engine must have made of the answered events: how many of each fate, and which are stored."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from runtime.traffic.events import COUNTED, HELD, REFUSED_AT_DOOR, REJECTED_ANYWHERE, Identity, Kind, identify
from runtime.traffic.ledger import ACCEPTED, REFUSED, SimulatorLedger
from runtime.traffic.requests import chunk_count, chunk_ordinals

Flags = npt.NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class Account:
    """Counts of events. ``sent = accepted + refused`` and
    ``accepted = stored + duplicates + conflicts + held + rejected`` once all are answered.

    ``refused`` are those turned away at the door, ``rejected`` those set aside later. ``astray`` counts answers
    that are wrong by themselves: a good event refused, or a bad one accepted.
    """

    sent: int
    accepted: int
    refused: int
    stored: int
    duplicates: int
    conflicts: int
    held: int
    rejected: int
    astray: int
    maybe_repeated: int


def account_of(ledger: SimulatorLedger) -> tuple[Account, Flags]:
    """The expected fates, and for each ordinal whether it must be stored and counted."""
    plan = ledger.plan
    stored = np.zeros(plan.events, dtype=np.bool_)
    tally = dict.fromkeys(("firsts", "conflicts", "held", "rejected", "astray"), 0)
    for chunk in range(chunk_count(plan)):
        identity = identify(plan, chunk_ordinals(plan, chunk))
        answers = ledger.answers[identity.ordinals]
        stored[identity.roots[(answers == ACCEPTED) & copies(identity)]] = True
        for name, count in _chunk_tally(identity, answers).items():
            tally[name] += count
    unique = int(np.count_nonzero(stored))
    account = Account(
        sent=plan.events,
        accepted=ledger.accepted,
        refused=ledger.refused,
        stored=unique,
        duplicates=tally["firsts"] - unique,
        conflicts=tally["conflicts"],
        held=tally["held"],
        rejected=tally["rejected"],
        astray=tally["astray"],
        maybe_repeated=ledger.maybe_repeated,
    )
    return account, stored


def copies(identity: Identity) -> Flags:
    """Which events are a copy, the first or a later one, of something to be counted."""
    return np.isin(identity.kinds, [*COUNTED, Kind.REPEAT])


def _chunk_tally(identity: Identity, answers: npt.NDArray[np.uint8]) -> dict[str, int]:
    bad = np.isin(identity.kinds, REFUSED_AT_DOOR)
    either = np.isin(identity.kinds, REJECTED_ANYWHERE)
    accepted = answers == ACCEPTED

    def count(flags: Flags) -> int:
        return int(np.count_nonzero(flags))

    return {
        "firsts": count(accepted & copies(identity)),
        "conflicts": count(accepted & (identity.kinds == Kind.CONFLICT)),
        "held": count(accepted & np.isin(identity.kinds, HELD)),
        "rejected": count(accepted & either),
        "astray": count((accepted & bad) | ((answers == REFUSED) & ~bad & ~either)),
    }
