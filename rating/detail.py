"""Usage in more detail than one quantity a line, for the models that charge by event or by group."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl

from core.frames import Schema, checked
from rating.charge import QUANTITY

# Any number of rows per (subscription_id, price_id); ``order`` is the order of the log, ``value`` the amount.
USAGE_EVENTS: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "order": pl.Int64(),
    "value": QUANTITY,
}

# One row per (subscription_id, price_id) and group; ``group`` is JSON text as of ``rating.models.matrix.group_text``.
USAGE_GROUPS: Final[Schema] = {
    "subscription_id": pl.String(),
    "price_id": pl.String(),
    "group": pl.String(),
    "value": QUANTITY,
}
LINE: Final = ("subscription_id", "price_id")
# What stands between the entries under the hash.
SEPARATOR: Final = "\x1e"


@dataclass(frozen=True, slots=True, eq=False)
class Detail:
    """Events (USAGE_EVENTS) and groups (USAGE_GROUPS), or both by ``line``; ``None`` where there are none."""

    events: pl.DataFrame | None = None
    groups: pl.DataFrame | None = None

    def of(self, lines: pl.DataFrame) -> Detail:
        """The same by line instead of by subscription and price, in an order that is the same in every run."""
        keys = lines.select("line", *LINE)
        events, groups = self.events, self.groups
        if events is not None:
            joined = keys.join(checked(events, USAGE_EVENTS), on=LINE).select("line", "order", "value")
            events = joined.sort("line", "order", "value")
        if groups is not None:
            joined = keys.join(checked(groups, USAGE_GROUPS), on=LINE).select("line", "group", "value")
            groups = joined.sort("line", "group", "value")
        return Detail(events, groups)

    def with_texts(self, lines: pl.DataFrame) -> pl.DataFrame:
        """Add ``detail``: all that is said of a line, as it goes under its hash; null where that is nothing."""
        parts = [
            frame.select("line", text=pl.concat_str(first, "value", separator="=", ignore_nulls=True))
            for frame, first in ((self.events, "order"), (self.groups, "group"))
            if frame is not None
        ]
        if not parts:
            return lines.with_columns(detail=pl.lit(None, dtype=pl.String))
        told = pl.concat(parts).group_by("line", maintain_order=True).agg(detail=pl.col("text").str.join(SEPARATOR))
        return lines.join(told, on="line", how="left", maintain_order="left")
