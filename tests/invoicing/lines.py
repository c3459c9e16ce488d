"""Charge lines for invoicing: rated for real, with plain defaults."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

import polars as pl

from rating.engine import rate
from rating.freeze import Freeze
from rating.record import stamped
from tests.rating.rows import due_frame, usage_frame, used

CUTOFF = datetime(2023, 12, 2, tzinfo=UTC)


def charge_lines(priced: Sequence[tuple[Mapping[str, object], str]]) -> pl.DataFrame:
    """CHARGE_LINES of rows of DUE_PRICES and what was used of each."""
    due = [row for row, _ in priced]
    usage = [used(row, quantity) for row, quantity in priced]
    lines = rate(usage_frame(usage), due_frame(due))
    runs = {merchant_id: f"run_of_{merchant_id}" for merchant_id in lines["merchant_id"].unique()}
    return stamped(lines, "2023-11", Freeze(CUTOFF, CUTOFF, 3), runs)
