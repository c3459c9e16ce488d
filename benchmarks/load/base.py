"""What was sent before: plain events of every merchant, hours ago, which later repeats and conflicts refer to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta

import numpy as np
import numpy.typing as npt

from benchmarks.load.plan import BASE_HOURS_AGO, BASE_REQUEST_EVENTS, LoadPlan, id_text
from runtime.traffic.draws import Ints, bits, draw
from runtime.traffic.events import Identity, Kind, facts_of, shape_of
from runtime.traffic.plan import EPOCH
from runtime.traffic.rows import ROW, empty_rows, make_writer


@dataclass(frozen=True, slots=True)
class Base:
    """All its events as bytes, merchant after merchant; those of merchant ``m`` begin at ``starts[m]``."""

    plan: LoadPlan
    rows: npt.NDArray[np.void]
    events: npt.NDArray[np.uint8]
    starts: Ints
    counts: Ints
    digits: npt.NDArray[np.uint32]

    def choose(self, merchants: Ints, salt: int) -> Ints:
        """An event of each merchant, as a place in ``events``; another one from salt to salt."""
        places = np.arange(len(merchants), dtype=np.int64) + salt * 1_000_003
        drawn = bits(draw(self.plan.seed, 14, places), 0, 40)
        chosen: Ints = self.starts[merchants] + drawn % self.counts[merchants]
        return chosen

    def bodies(self) -> list[tuple[int, bytes]]:
        """The requests in which it is sent: merchant and body."""
        found = []
        for merchant, (start, count) in enumerate(zip(self.starts.tolist(), self.counts.tolist(), strict=True)):
            for first in range(start, start + count, BASE_REQUEST_EVENTS):
                text = self.events[first : first + BASE_REQUEST_EVENTS].tobytes()
                found.append((merchant, b"[" + text[:-1] + b"]"))
        return found


def make_base(plan: LoadPlan, now: datetime) -> Base:
    """Make it; its events lie in the minutes before ``BASE_HOURS_AGO``."""
    counts = plan.base_requests() * BASE_REQUEST_EVENTS
    total = int(counts.sum())
    ordinals = np.arange(total, dtype=np.int64)
    traffic = plan.traffic(total)
    writer, rows = make_writer(traffic), empty_rows(total)
    identity = Identity(ordinals, np.full(total, Kind.PLAIN, dtype=np.uint8), ordinals)
    # What they say is drawn from beyond the pool, so that no pool event says the same.
    shifted = Identity(ordinals, identity.kinds, ordinals + 10**9)
    writer.write(rows, identity, facts_of(traffic, shape_of(traffic), shifted))
    rows["id_a"] = id_text(0)
    write_base_times(rows, now - timedelta(hours=BASE_HOURS_AGO))
    return Base(
        plan=plan,
        rows=rows,
        events=rows.view(np.uint8).reshape(total, ROW.itemsize),
        starts=np.cumsum(counts) - counts,
        counts=counts,
        digits=np.array([id_text(number) for number in range(10_000)], dtype=np.uint32),
    )


def write_base_times(rows: npt.NDArray[np.void], until: datetime) -> None:
    """Spread over the two minutes before ``until``."""
    seconds = (until - EPOCH) // timedelta(seconds=1) - np.arange(len(rows), dtype=np.int64) % 120
    for second in np.unique(seconds).tolist():
        at = EPOCH + timedelta(seconds=second)
        here = seconds == second
        rows["day"][here] = at.strftime("%Y-%m-%d").encode()
        rows["clock"][here] = int.from_bytes(at.strftime("%H:%M:%S").encode(), "little")
