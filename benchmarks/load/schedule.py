"""When requests are due: at a fixed rate, or at one that rises; computed, so that lateness never moves what follows."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Due = Callable[[int], float]


@dataclass(frozen=True, slots=True)
class RunSpec:
    """One run. Closed: as fast as answers come. Open: ``rate`` events a second, rising to ``ramp_to`` when given.

    ``shed`` leaves a request that was sent away (429, 503) at that, as a sender with no room to wait does; otherwise
    it is sent again until it is answered. Without ``hot`` the hot merchant stays silent.
    """

    mode: Literal["closed", "open"] = "closed"
    seconds: float = 10.0
    rate: float = 0.0
    ramp_to: float = 0.0
    connections: int = 16
    shed: bool = False
    hot: bool = True

    def to_json(self) -> dict[str, Any]:
        """Plain values, for the generator's process."""
        return asdict(self)


def due_times(spec: RunSpec, request_events: int) -> Due:
    """For the number of a request the seconds after the start at which it is due."""
    start, rise = spec.rate / request_events, 0.0
    if spec.ramp_to:
        rise = (spec.ramp_to / request_events - start) / spec.seconds
    if not rise:
        return lambda number: number / start
    # The number of requests until t is start * t + rise * t² / 2.
    return lambda number: (math.sqrt(start * start + 2 * rise * number) - start) / rise
