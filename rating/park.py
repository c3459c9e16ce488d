"""Parks whole subscriptions: an invoice with a line missing would be wrong, so one bad line holds all of them."""

from __future__ import annotations

import polars as pl

from rating.charge import AMOUNT, RATED_LINES, TIERS
from rating.exact import UNITS, adds_up, group_sum, group_total, units

TOO_LARGE = "the lines of this subscription do not add up within 14 digits before the point"
CURRENCIES = "the prices of this subscription are in several currencies"


def park_subscriptions(lines: pl.DataFrame) -> pl.DataFrame:
    """RATED_LINES in which every line of a subscription that cannot be billed as a whole is parked.

    That is one with a parked line, with lines in several currencies, or with a sum that does not fit.
    """
    parked, suspected = pl.col("parked_reason").is_not_null(), suspects(lines)
    if suspected.is_empty():
        return lines
    verdicts = (
        suspected.with_columns(total=units(pl.col("amount")))
        .group_by("subscription_id")
        .agg(
            *group_sum("total"),
            pl.col("meter").filter(parked).first().alias("bad_meter"),
            (pl.col("currency") != pl.col("currency").first()).any().alias("mixed"),
        )
        .select("subscription_id", "bad_meter", "mixed", too_large=group_total("total").is_null())
        .filter(pl.col("too_large") | pl.col("mixed"))
    )
    if verdicts.is_empty():
        return lines
    because = pl.coalesce(
        pl.format("held back with the line of {}, which is parked", "bad_meter"),
        pl.when("mixed").then(pl.lit(CURRENCIES)),
        pl.lit(TOO_LARGE),
    )
    held = pl.col("mixed").is_not_null()
    return (
        lines.join(verdicts, on="subscription_id", how="left", maintain_order="left")
        .with_columns(parked_reason=pl.when(held).then(pl.coalesce("parked_reason", because)))
        .with_columns(
            amount=pl.when(~held).then("amount").otherwise(pl.lit(None, dtype=AMOUNT)),
            tiers=pl.when(~held).then("tiers").otherwise(pl.lit([], dtype=TIERS)),
        )
        .select(list(RATED_LINES))
    )


def suspects(lines: pl.DataFrame) -> pl.DataFrame:
    """The lines of all subscriptions that may have to be parked: mostly, of those with a parked line.

    Where all lines are in one currency, and so small that not even all together would not fit, no others can be.
    """
    amounts = lines["amount"]
    known = amounts.drop_nulls() if amounts.null_count() else amounts
    if lines["currency"].n_unique() > 1 or not adds_up(known.reinterpret(dtype=UNITS)):
        return lines
    if lines["parked_reason"].null_count() == lines.height:
        return lines.clear()
    parked = lines.filter(pl.col("parked_reason").is_not_null())
    return lines.join(parked, on="subscription_id", how="semi", maintain_order="left")
