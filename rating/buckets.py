"""Prices by bucket: each hour or day of a period is priced by itself, as a period would be, and then all are added up.

A bucket without usage counts too, for a flat price or a commitment may be due in it. All of these cost the same, so
that they are priced once a price and are one row of a line's arithmetic.
"""

from __future__ import annotations

from collections.abc import Sequence

import polars as pl

from rating.charge import QUANTITY
from rating.detail import USAGE_BUCKETS, Detail
from rating.exact import product, whole
from rating.priced import Priced, Step, by_line, in_turn, price, totals_of
from rating.shapes import LINES, STEPS, completed
from rating.terms import ReadPrices

BUCKET_START = "%Y-%m-%dT%H:%M:%SZ"
NO_BUCKETS = {"line": pl.UInt32(), **{name: USAGE_BUCKETS[name] for name in ("bucket", "buckets", "value")}}


def price_buckets(
    lines: pl.DataFrame,
    prices: ReadPrices,
    detail: Detail,
    commitments: pl.DataFrame,
    *,
    before: Sequence[Step],
    after: Sequence[Step],
    committed: Sequence[Step],
) -> Priced:
    """What the buckets of LINES come to: steps ``before`` and ``after`` the model of each, then those of a commitment.

    ``commitments`` are those of prices. The adjusted lines are all lines, with what their buckets add up to.
    """
    buckets = pl.DataFrame(schema=NO_BUCKETS) if detail.buckets is None else detail.buckets
    own = lines.select("line", "price_number").join(buckets, on="line", maintain_order="left")
    used = own.filter(pl.col("bucket").is_not_null()).with_row_index("place")
    # A bucket of each price without usage, numbered after those with usage.
    unused = lines.select("price_number").unique(maintain_order=True).with_row_index("place", used.height)
    ready = pl.concat(
        [
            used.select(line="place", price_number="price_number", quantity="value"),
            unused.select(line="place", price_number="price_number", quantity=pl.lit(0, dtype=QUANTITY)),
        ]
    ).with_columns(finer=pl.lit(0, dtype=pl.Int64))
    priced = price(ready.select(list(LINES)), prices, Detail(), before, after)
    promised = priced.adjusted.join(commitments, on="price_number", how="left", maintain_order="left")
    adjusted, told = in_turn(only_committed(promised, "bucket"), committed)
    steps = by_line([told_buckets(used), priced.steps, told])
    amounts = adjusted.select("worked", place="line")
    of_nothing = unused.join(amounts, on="place").select("price_number", "worked")
    everything = pl.concat([of_lines(steps, used), told_empty(lines, own, of_nothing)])
    summed = totals_of(everything)
    on_lines = lines.join(prices.adjustments, on="price_number", maintain_order="left")
    return Priced(on_lines.join(summed, on="line", maintain_order="left"), everything)


def after_buckets(priced: Priced, steps: Sequence[Step]) -> Priced:
    """The same after steps on the sums of the buckets."""
    adjusted, told = in_turn(priced.adjusted, steps)
    return Priced(adjusted, pl.concat([priced.steps, told]))


def only_committed(lines: pl.DataFrame, per: str) -> pl.DataFrame:
    """The lines without their commitment, where it is not one per period, or not one per bucket."""
    if lines["commitment_per"].null_count() == lines.height:
        return lines
    own = pl.col("commitment_per") == per
    return lines.with_columns(pl.when(own).then(pl.col(name)).alias(name) for name in ("overage_factor", "true_up"))


def told_buckets(used: pl.DataFrame) -> pl.DataFrame:
    """A row of STEPS for each bucket that was used, by its place: what was used in it."""
    rows = used.select(
        line="place",
        tier=pl.lit(0, dtype=pl.UInt32),
        quantity="value",
        finer=pl.lit(0, dtype=pl.Int64),
        label=pl.lit("bucket"),
        amount=whole(0),
    )
    return completed(rows)


def of_lines(steps: pl.DataFrame, used: pl.DataFrame) -> pl.DataFrame:
    """The STEPS of buckets as those of their lines, each with its bucket as the group, without those of nothing."""
    starts = used.select(pl.col("bucket").unique()).with_columns(start=pl.col("bucket").dt.strftime(BUCKET_START))
    of_line = used.join(starts, on="bucket", maintain_order="left").select("place", "start", own="line")
    joined = steps.join(of_line, left_on="line", right_on="place", maintain_order="left")
    return joined.with_columns(line="own", group="start").select(list(STEPS))


def told_empty(lines: pl.DataFrame, own: pl.DataFrame, of_nothing: pl.DataFrame) -> pl.DataFrame:
    """A row of STEPS for each line: how many buckets were not used, and what they come to together."""
    counts = own.filter(pl.col("bucket").is_null()).group_by("line").agg(pl.sum("buckets"))
    empty = (
        lines.select("line", "price_number")
        .join(counts, on="line", how="left", maintain_order="left")
        .join(of_nothing, on="price_number", maintain_order="left")
        .with_columns(pl.col("buckets").fill_null(0))
    )
    rows = empty.select(
        "line",
        tier=pl.lit(0, dtype=pl.UInt32),
        quantity=pl.col("buckets").cast(QUANTITY),
        finer=pl.lit(0, dtype=pl.Int64),
        label=pl.lit("empty_buckets"),
        amount=pl.when(pl.col("buckets") == 0)
        .then(whole(0))
        .otherwise(product(pl.col("worked"), pl.col("buckets").cast(pl.Int128))),
    )
    return completed(rows)
