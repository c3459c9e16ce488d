"""The generator's own account: every request with its times and answer, and what must become of its events."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cache

import numpy as np
import numpy.typing as npt

from benchmarks.load.kinds import FAR, Kinds, is_held, is_invalid
from benchmarks.load.plan import BASE_REQUEST_EVENTS, LoadPlan
from runtime.traffic.draws import Ints
from runtime.traffic.events import Kind

FATES = ("stored", "duplicate", "conflict", "held", "rejected")
ANSWERED = (202, 207, 422)
# No answer, and none will be waited for: the connection was lost.
LOST = 0


@dataclass(frozen=True, slots=True)
class Sent:
    """One request and its last answer. ``refused`` are the places of events that the door turned away."""

    round: int
    request: int
    merchant: int
    due_s: float
    sent_s: float
    answered_s: float
    status: int
    refused: tuple[int, ...] = ()


@dataclass(slots=True)
class Ledger:
    """Everything that was sent. ``maybe`` counts, by merchant, events that may be stored without an answer for them."""

    plan: LoadPlan
    kinds: Kinds
    sent: list[Sent] = field(default_factory=list)
    base_answered: list[int] = field(default_factory=list)
    maybe: dict[int, int] = field(default_factory=dict)

    def note_maybe(self, merchant: int) -> None:
        """A try of a request ended without saying whether its events were kept."""
        self.maybe[merchant] = self.maybe.get(merchant, 0) + self.plan.request_events

    def account(self) -> Account:
        """Add everything up by merchant."""
        account = Account.empty(self.plan.merchants)
        for merchant in self.base_answered:
            account.add_base(merchant)
        answered = [one for one in self.sent if one.status in ANSWERED]
        known = {(one.round, one.request) for one in answered}
        fates = cache(self.fates_of)
        for one in self.sent:
            account.sent[one.merchant] += self.plan.request_events
        for one in answered:
            counts = fates(one.request, one.refused)
            account.add(one.merchant, counts, len(one.refused))
            for root, count in self.kinds.near_roots[one.request].items():
                if (one.round, root) not in known:
                    # What these repeat never came in: they are the first of their kind.
                    account.fates[one.merchant, FATES.index("duplicate")] -= count
                    account.fates[one.merchant, FATES.index("stored")] += count
        for merchant, events in self.maybe.items():
            account.maybe[merchant] += events
        account.sent += account.base
        return account

    def fates_of(self, request: int, refused: tuple[int, ...]) -> Ints:
        """What becomes of a request's accepted events, in the order of ``FATES``, when all it repeats has come in."""
        kinds = self.kinds.all[request]
        accepted = np.ones(len(kinds), dtype=np.bool_)
        accepted[list(refused)] = False
        kinds = kinds[accepted]
        duplicates = int(np.isin(kinds, (Kind.REPEAT, FAR)).sum())
        conflicts = int((kinds == Kind.CONFLICT).sum())
        held, rejected = int(is_held(kinds).sum()), int(is_invalid(kinds).sum())
        stored = len(kinds) - duplicates - conflicts - held - rejected
        return np.array([stored, duplicates, conflicts, held, rejected], dtype=np.int64)


@dataclass(slots=True)
class Account:
    """Events by merchant. ``fates`` has a column for each of ``FATES``: what the stores must hold."""

    sent: Ints
    base: Ints
    acknowledged: Ints
    refused: Ints
    maybe: Ints
    fates: npt.NDArray[np.int64]

    @staticmethod
    def empty(merchants: int) -> Account:
        """Nothing was sent."""
        sent, base, acknowledged, refused, maybe = np.zeros((5, merchants), dtype=np.int64)
        return Account(sent, base, acknowledged, refused, maybe, np.zeros((merchants, len(FATES)), dtype=np.int64))

    def add_base(self, merchant: int) -> None:
        """A request of plain events was acknowledged."""
        self.base[merchant] += BASE_REQUEST_EVENTS
        self.acknowledged[merchant] += BASE_REQUEST_EVENTS
        self.fates[merchant, 0] += BASE_REQUEST_EVENTS

    def add(self, merchant: int, counts: Ints, refused: int) -> None:
        """A request was answered."""
        self.fates[merchant] += counts
        self.acknowledged[merchant] += int(counts.sum())
        self.refused[merchant] += refused

    def to_json(self) -> dict[str, list[object]]:
        """Plain lists."""
        names = ("sent", "base", "acknowledged", "refused", "maybe", "fates")
        return {name: getattr(self, name).tolist() for name in names}

    @staticmethod
    def from_json(fields: dict[str, list[object]]) -> Account:
        """Read it back."""
        return Account(**{name: np.array(values, dtype=np.int64) for name, values in fields.items()})

    def faults(self, found: npt.NDArray[np.int64], shown_max: int = 5) -> list[str]:
        """Merchants whose stored events, by fate as in ``FATES``, are not those that were acknowledged."""
        exact = (found == self.fates).all(axis=1)
        # An answer that never came leaves open whether its events are there; nothing acknowledged may be missing.
        rows = found.sum(axis=1)
        possible = (rows >= self.acknowledged) & (rows <= self.acknowledged + self.maybe)
        possible &= (found[:, 0] >= self.fates[:, 0]) & (self.maybe > 0)
        wrong = np.flatnonzero(~(exact | possible)).tolist()
        said = [
            f"merchant {one}: stored, duplicate, conflict, held, rejected should be {self.fates[one].tolist()}, "
            f"are {found[one].tolist()}"
            for one in wrong[:shown_max]
        ]
        return said + ([f"and {len(wrong) - shown_max} merchants more"] if len(wrong) > shown_max else [])


def percentiles_ms(seconds: Sequence[float] | npt.NDArray[np.float64]) -> dict[str, float]:
    """Exact percentiles, each of them a value that was measured; empty without values."""
    if not len(seconds):
        return {}
    points = (50.0, 90.0, 99.0, 99.9, 100.0)
    found = np.percentile(np.asarray(seconds) * 1000, points, method="higher")
    return {f"p{point:g}": round(float(value), 3) for point, value in zip(points, found, strict=True)}
