"""What the stream is known to lack, and why a period is not closed over it.

Rating knows neither the log nor the ledger: whoever does finds the gaps, and hands them over as these values.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from core.errors import Conflict, Problem

GapCode = Literal["hole", "open_block", "wrong_position", "not_consumed", "journalled", "log_silent", "backfill"]
SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class Gap:
    """Something acknowledged that may not be counted yet. Offsets are inclusive; None where they say nothing."""

    code: GapCode
    message: str
    incarnation: int | None = None
    partition: int | None = None
    first_offset: int | None = None
    last_offset: int | None = None


def refuse_gaps(period: str, gaps: Sequence[Gap]) -> None:
    """Raise ``Conflict`` (``period_not_complete``) that names every gap, if there are any."""
    if not gaps:
        return
    more = [f"and {len(gaps) - SHOWN_MAX} more"] if len(gaps) > SHOWN_MAX else []
    said = "; ".join([gap.message for gap in gaps[:SHOWN_MAX]] + more)
    raise Conflict(
        "period_not_complete",
        f"{period} is not complete, and was not closed: {said}",
        problems=tuple(Problem(gap.code, gap.message, place_of(gap)) for gap in gaps),
    )


def place_of(gap: Gap) -> str:
    """Where a gap is, in a word."""
    return "log" if gap.partition is None else f"partition {gap.partition}"


def gaps_json(gaps: Sequence[Gap]) -> list[dict[str, object]] | None:
    """Gaps as they are kept with a run; None without any."""
    return [asdict(gap) for gap in gaps] or None
