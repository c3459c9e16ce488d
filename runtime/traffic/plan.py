"""What traffic to make: everything that the generator, the sender and the oracle have to agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from runtime.traffic.meters import METERS

LATE_HOURS = 7
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class TrafficPlan:
    """Traffic as a pure function of its fields: the same plan gives the same bytes.

    ``events`` counts everything sent, repeats and invalid ones included. Events occur between ``first_at`` and
    ``first_at + span``; late ones up to seven hours before their place in the order. Shares are of all events.
    """

    first_at: datetime
    seed: int = 1
    events: int = 500_000
    merchants: int = 1_000
    customers: int = 50
    meters: int = len(METERS)
    zipf_exponent: float = 1.1
    hot_share: float = 0.3
    repeat_share: float = 0.02
    late_share: float = 0.01
    invalid_share: float = 0.001
    unknown_share: float = 0.0005
    conflict_share: float = 0.0001
    span_s: int = 3 * 24 * 3600
    request_events: int = 500
    chunk_events: int = 0

    def __post_init__(self) -> None:
        """Refuse plans whose events could not be told apart."""
        if not self.chunk_events:
            object.__setattr__(self, "chunk_events", min(100_000, max(1_000, self.events // 10)))
        if self.first_at.tzinfo is None or self.first_at.microsecond:
            raise ValueError("first_at is a whole second with a zone")
        if not 1 <= self.meters <= len(METERS):
            raise ValueError(f"between 1 and {len(METERS)} meters can be had")
        if not 1 <= self.events < 10**12 or not 1 <= self.merchants < 10**6 or not 1 <= self.customers <= 2**16:
            raise ValueError("events, merchants and customers must lie within what ids can hold")
        if self.step_us < 16:
            raise ValueError("too many events for this span: their times could not all differ")

    @property
    def step_us(self) -> int:
        """Microseconds from one event's place in time to the next."""
        return self.span_s * 1_000_000 // self.events

    @property
    def first_us(self) -> int:
        """Microseconds from 1970 to the first event's place."""
        return (self.first_at - EPOCH) // timedelta(microseconds=1)

    @property
    def source(self) -> str:
        """The word with which every event id begins."""
        return f"{self.seed & 0xFFFFFFFF:08x}"

    def merchant_code(self, merchant: int) -> str:
        """The code of a merchant in the catalog."""
        return f"sim-{merchant:04d}"

    def customer_key(self, customer: int) -> str:
        """The merchant's own key of a customer, which events carry as subject."""
        return f"c-{customer:06d}"

    def event_id(self, ordinal: int) -> str:
        """The id of the event first sent as number ``ordinal``."""
        return f"{self.source}-{ordinal:012d}"

    def to_json(self) -> dict[str, Any]:
        """The plan as plain values for a ledger file."""
        return asdict(self) | {"first_at": self.first_at.isoformat()}

    @staticmethod
    def from_json(fields: dict[str, Any]) -> TrafficPlan:
        """Read a plan back from a ledger file."""
        return TrafficPlan(**(fields | {"first_at": datetime.fromisoformat(fields["first_at"])}))


def previous_month_end(now: datetime) -> datetime:
    """The first instant of ``now``'s month in UTC: where the month before it ends."""
    return now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)


def plan_for_last_month(now: datetime, **fields: Any) -> TrafficPlan:
    """A plan whose events lie in the last three days of the month before ``now``.

    Such a month is over, so that it can be billed at once, and its end is never older than the age limit of the
    door (35 days). ``fields`` are those of ``TrafficPlan``.
    """
    span_s = int(fields.pop("span_s", 3 * 24 * 3600))
    first_at = previous_month_end(now) - timedelta(seconds=span_s)
    return TrafficPlan(first_at=first_at, span_s=span_s, **fields)


def plan_until(now: datetime, **fields: Any) -> TrafficPlan:
    """A plan whose events lie in the last hours before ``now``; ``fields`` are those of ``TrafficPlan``."""
    span_s = int(fields.pop("span_s", 6 * 3600))
    first_at = now.astimezone(UTC).replace(microsecond=0) - timedelta(seconds=span_s)
    return TrafficPlan(first_at=first_at, span_s=span_s, **fields)
