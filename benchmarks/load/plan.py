"""What load to make: everything that the generator, its account and the check of the stores have to agree on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.traffic.draws import hot_and_zipf_weights
from runtime.traffic.plan import TrafficPlan

# A merchant's turn: so many requests in a row are one merchant's, and half of the repeats repeat one of these.
TURN_REQUESTS = 4
# Rows that are patched at once: enough to make numpy's own overhead vanish, few enough to stay in the cache.
STRIPE_EVENTS = 2_048
STRIPES_MIN = 4
# What has been sent before the measurement begins, hours ago in event time; later repeats and conflicts mean these.
BASE_REQUEST_EVENTS = 20
BASE_REQUESTS_ABOUT = 1_000
BASE_HOURS_AGO = 3
# Ids hold four digits of the round and eight of the place.
ROUNDS_MAX = 10_000


@dataclass(frozen=True, slots=True)
class LoadPlan:
    """Load as a function of its fields, but for the times, which are those of sending.

    Every request holds ``request_events`` events of one merchant. Shares are of all events. ``pool_requests`` bodies
    are made beforehand and used round after round, each time with new ids and times, for another merchant.
    """

    seed: int = 1
    merchants: int = 1_000
    customers: int = 50
    request_events: int = 500
    pool_requests: int = 128
    zipf_exponent: float = 1.1
    hot_share: float = 0.3
    repeat_share: float = 0.02
    late_share: float = 0.01
    invalid_share: float = 0.001
    unknown_share: float = 0.0005
    conflict_share: float = 0.0001

    def __post_init__(self) -> None:
        """Round the pool up to whole stripes, and to enough of them that one is always free."""
        stripes = max(STRIPES_MIN, -(-self.pool_requests // self.stripe_requests))
        object.__setattr__(self, "pool_requests", stripes * self.stripe_requests)

    @property
    def stripe_requests(self) -> int:
        """How many requests are patched at once: whole turns."""
        turns = max(1, STRIPE_EVENTS // (self.request_events * TURN_REQUESTS))
        return turns * TURN_REQUESTS

    @property
    def pool_events(self) -> int:
        """Events in one round of the pool."""
        return self.pool_requests * self.request_events

    def traffic(self, events: int) -> TrafficPlan:
        """The simulator's plan with the same shares, which draws what the events say."""
        return TrafficPlan(
            first_at=datetime(2026, 1, 1, tzinfo=UTC),
            seed=self.seed,
            events=max(events, 1),
            merchants=self.merchants,
            customers=self.customers,
            zipf_exponent=self.zipf_exponent,
            hot_share=self.hot_share,
            repeat_share=self.repeat_share,
            late_share=self.late_share,
            invalid_share=self.invalid_share,
            unknown_share=self.unknown_share,
            conflict_share=self.conflict_share,
        )

    def merchant_weights(self, *, hot: bool = True) -> npt.NDArray[np.float64]:
        """How often each merchant has its turn; without the hot one the others keep their proportions."""
        weights = hot_and_zipf_weights(self.merchants, self.zipf_exponent, self.hot_share)
        if not hot and self.merchants > 1:
            weights[0] = 0
        shares: npt.NDArray[np.float64] = weights / weights.sum()
        return shares

    def base_requests(self) -> npt.NDArray[np.int64]:
        """How many requests each merchant sends beforehand: at least one, so that each has events to repeat."""
        wanted = self.merchant_weights() * BASE_REQUESTS_ABOUT
        return np.maximum(1, np.round(wanted)).astype(np.int64)

    @property
    def id_prefix(self) -> str:
        """With what every event id of this load begins."""
        return f"{self.traffic(1).source}-"

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the generator's process."""
        return asdict(self)


def id_text(number: int) -> int:
    """Four digits as the integer of the same bytes, as a row holds them."""
    return int.from_bytes(b"%04d" % number, "little")
