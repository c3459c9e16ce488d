"""What a charge line costs when so many subscriptions are rated at once, as a close rates them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from benchmarks.rating import timed
from benchmarks.rating_rows import seeded_month
from rating.engine import rate

ROUNDS = 3
SEED = 1


def measure_rating(sizes: Sequence[int]) -> list[dict[str, float]]:
    """CPU-microseconds of a line, and bytes that the process holds more at most than with the frames alone.

    A first round is thrown away. Each size asks for a process of its own: what one leaves in memory the next would use.
    """
    found = []
    for lines in sizes:
        month = seeded_month(lines, SEED)
        took = [timed(partial(rate, month.usage, month.prices, month.detail)) for _ in range(ROUNDS + 1)][1:]
        most = max(1, *(one.memory_mib for one in took)) * 2**20
        cpu_s = min(one.cpu_s for one in took)
        found.append({"size": lines, "rate_us": cpu_s / lines * 1e6, "rate_bytes": most / lines})
    return found
