"""What a charge line costs when so many subscriptions are rated at once, as a close rates them."""

from __future__ import annotations

import gc
import json
from collections.abc import Sequence
from datetime import UTC, datetime
from time import process_time

import polars as pl

from benchmarks.dedupe_index import memory_mb
from core.frames import Schema
from rating.engine import rate
from rating.inputs import DUE_PRICES, USAGE

# Prices are written once a plan and merchant, and charged to many.
PRICES = 1_000
BEGIN, END = datetime(2026, 1, 1, tzinfo=UTC), datetime(2026, 2, 1, tzinfo=UTC)
PASSES = 3


def measure_rating(sizes: Sequence[int]) -> list[dict[str, float]]:
    """CPU-microseconds and bytes of memory a line; half of the lines are charged per unit, half by three tiers.

    What a process needed at most is told once for its life: each size asks for a process of its own.
    """
    rate(*frames(10))
    found = []
    for lines in sizes:
        usage, prices = frames(lines)
        gc.collect()
        before_mb = memory_mb()["own, MB"]
        spent_s = []
        for _ in range(PASSES):
            begun_s = process_time()
            rated = rate(usage, prices)
            spent_s.append(process_time() - begun_s)
            assert rated["parked_reason"].null_count() == lines, "every line is charged"
            del rated
        most_mb = memory_mb()["both at most, MB"]
        found.append(
            {
                "size": lines,
                "rate_us": min(spent_s) / lines * 1e6,
                "rate_bytes": max(1, most_mb - before_mb) * 2**20 / lines,
                "frames_bytes": (usage.estimated_size() + prices.estimated_size()) / lines,
            }
        )
    return found


def frames(lines: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """USAGE and DUE_PRICES of so many subscriptions with one price each."""
    texts = [definition_of(number) for number in range(PRICES)]
    place = pl.int_range(lines, dtype=pl.Int64)
    price = place % PRICES
    subscription = pl.format("sub_{}", place.cast(pl.String).str.zfill(26)).alias("subscription_id")
    price_id = pl.format("pri_{}", price.cast(pl.String).str.zfill(26)).alias("price_id")
    prices = pl.select(
        pl.format("mer_{}", (price // 2).cast(pl.String).str.zfill(26)).alias("merchant_id"),
        subscription,
        pl.format("cus_{}", place.cast(pl.String).str.zfill(26)).alias("customer_id"),
        pl.format("c-{}", place.cast(pl.String)).alias("subject"),
        price_id,
        pl.format("mtr_{}", price.cast(pl.String).str.zfill(26)).alias("meter_id"),
        pl.lit("payg").alias("plan"),
        pl.lit("tokens").alias("meter"),
        pl.lit("sum").alias("aggregation"),
        pl.when(price % 2 == 0).then(pl.lit("per_unit")).otherwise(pl.lit("graduated")).alias("model"),
        price.replace_strict(list(range(PRICES)), texts, return_dtype=pl.String).alias("definition"),
        pl.lit("USD").alias("currency"),
        pl.lit(BEGIN).alias("period_start"),
        pl.lit(END).alias("period_end"),
    )
    usage = pl.select(
        subscription,
        price_id,
        (place * 7_919 % 5_000_000).alias("quantity"),
        pl.lit(90).alias("events"),
        pl.lit(45).alias("windows"),
        pl.lit(None).alias("problem"),
        pl.lit(None).alias("corrected_from"),
    )
    return shaped(usage, USAGE), shaped(prices, DUE_PRICES)


def shaped(frame: pl.DataFrame, schema: Schema) -> pl.DataFrame:
    """The columns of a schema, in its order."""
    return frame.select(pl.col(name).cast(kind) for name, kind in schema.items())


def definition_of(number: int) -> str:
    """A price's JSON, as the catalog spells it."""
    unit = f"0.{10_000 + number}"
    if number % 2 == 0:
        return json.dumps({"model": "per_unit", "unit_price": unit})
    tiers = [
        {"up_to": bound, "unit_price": unit, "flat_price": flat}
        for bound, flat in (("1000", "0"), ("1000000", "1.5"), (None, "10"))
    ]
    return json.dumps({"model": "graduated", "tiers": tiers})
