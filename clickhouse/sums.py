"""Sums of windows, and the quantities that follow from them outside the engine.

A text that works out a quantity whatever the aggregation, in a layer of its own, doubles what a small question costs:
planning it takes longer than reading a customer's month.
"""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal, localcontext

import polars as pl

from clickhouse.schema import QUANTITY
from core.limits import QUANTITY_SCALE
from core.quantity import EXACT

SMALLEST = Decimal(1).scaleb(-QUANTITY_SCALE)
# In 256 bits, as ``quantity_sql`` says: narrowing raises DECIMAL_OVERFLOW.
SUMS = """sum(d.events) AS events, toDecimal128(sum(toDecimal256(d.sum, 12)), 12) AS total,
        min(d.min) AS least, max(d.max) AS most"""
# Comparing times and keys took two fifths of a large merchant's question, hence the filter.
LATEST = "argMaxIf(d.last, (d.last_at, d.last_key), d.aggregation = 'latest') AS latest"
SUM_NAMES = ("total", "least", "most", "latest")


def with_quantity(sums: pl.DataFrame) -> pl.DataFrame:
    """Rows of SUMS and LATEST with their ``quantity`` by ``aggregation`` instead; 0 for meters of distinct values."""
    aggregation, chosen = pl.col("aggregation"), pl.lit(Decimal(0), QUANTITY)
    for name, column in {"sum": "total", "min": "least", "max": "most", "latest": "latest"}.items():
        chosen = pl.when(aggregation == name).then(pl.col(column)).otherwise(chosen)
    chosen = pl.when(aggregation == "count").then(pl.col("events").cast(QUANTITY)).otherwise(chosen)
    found = sums.with_columns(chosen.alias("quantity"))
    if (found["aggregation"] == "avg").any():
        averages = pl.Series("average", [mean(*row) for row in found.select("total", "events").rows()], QUANTITY)
        picked = pl.when(aggregation == "avg").then(averages).otherwise(pl.col("quantity"))
        found = found.with_columns(picked.alias("quantity"))
    return found.drop(SUM_NAMES)


def with_values(found: pl.DataFrame, values: pl.DataFrame) -> pl.DataFrame:
    """The same rows, with the numbers of ``distinct`` values as the quantities of their meters."""
    if values.is_empty():
        return found
    keys = [name for name in values.columns if name != "distinct"]
    joined = found.join(values, on=keys, how="left", maintain_order="left")
    distinct = pl.col("distinct").fill_null(0).cast(QUANTITY)
    picked = pl.when(pl.col("aggregation") == "unique").then(distinct).otherwise(pl.col("quantity"))
    return joined.with_columns(picked.alias("quantity")).drop("distinct")


def mean(total: Decimal, events: int) -> Decimal:
    """A sum by the number of events, rounded once, half a unit away from zero; what was summed up of none."""
    with localcontext(EXACT):
        return (total / max(events, 1)).quantize(SMALLEST, ROUND_HALF_UP)
