"""Parks whole subscriptions: an invoice with a line missing would be wrong, so one bad line holds all of them."""

from __future__ import annotations

import polars as pl

from rating.charge import AMOUNT, RATED_LINES, TIERS
from rating.exact import group_sum, group_total, units

TOO_LARGE = "the lines of this subscription do not add up within 14 digits before the point"


def park_subscriptions(lines: pl.DataFrame) -> pl.DataFrame:
    """RATED_LINES in which every line of a subscription with a parked line, or with too large a sum, is parked too."""
    parked = pl.col("parked_reason").is_not_null()
    verdicts = (
        lines.with_columns(total=units(pl.col("amount")))
        .group_by("subscription_id")
        .agg(*group_sum("total"), pl.col("meter").filter(parked).first().alias("bad_meter"))
        .select("subscription_id", "bad_meter", too_large=group_total("total").is_null())
        .filter("too_large")
    )
    if verdicts.is_empty():
        return lines
    because = pl.format("held back with the line of {}, which is parked", "bad_meter").fill_null(TOO_LARGE)
    held = pl.col("too_large").is_not_null()
    return (
        lines.join(verdicts, on="subscription_id", how="left", maintain_order="left")
        .with_columns(parked_reason=pl.when(held).then(pl.coalesce("parked_reason", because)))
        .with_columns(
            amount=pl.when(~held).then("amount").otherwise(pl.lit(None, dtype=AMOUNT)),
            tiers=pl.when(~held).then("tiers").otherwise(pl.lit([], dtype=TIERS)),
        )
        .select(list(RATED_LINES))
    )
