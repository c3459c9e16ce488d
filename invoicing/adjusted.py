"""Adjustments as invoice lines: what they say to whoever pays, and what they say to whoever checks."""

from __future__ import annotations

from typing import Final

import polars as pl

from core.frames import checked
from rating.adjustment import ADJUSTMENTS

MONTHS: Final = "January February March April May June July August September October November December".split()
# Everything by which an adjustment can be worked out again, as texts.
SAID: Final = (
    "for_start",
    "for_end",
    "billed_cutoff",
    "cutoff",
    "old_quantity",
    "new_quantity",
    "old_amount",
    "new_amount",
)
INSTANTS: Final = ("for_start", "for_end", "billed_cutoff", "cutoff")


def adjustment_lines(adjustments: pl.DataFrame) -> pl.DataFrame:
    """ADJUSTMENTS with ``kind``, ``description`` and ``adjusts`` (JSON text) added."""
    return checked(adjustments, ADJUSTMENTS).with_columns(
        kind=pl.lit("adjustment"), description=description(), adjusts=said_as_json()
    )


def description() -> pl.Expr:
    """Such as ``Usage of October 2023 that arrived after its invoice: +123 requests``."""
    names = {f"{number:02}": name for number, name in enumerate(MONTHS, 1)}
    month = pl.col("for_period").str.slice(5, 2).replace_strict(names, return_dtype=pl.String)
    more = pl.col("quantity") >= 0
    return pl.format(
        "Usage of {} {} {} after its invoice: {}{} {}",
        month,
        pl.col("for_period").str.slice(0, 4),
        pl.when(more).then(pl.lit("that arrived")).otherwise(pl.lit("taken back")),
        pl.when(more).then(pl.lit("+")).otherwise(pl.lit("")),
        digits(pl.col("quantity")),
        pl.col("meter"),
    )


def said_as_json() -> pl.Expr:
    """What had been billed, what it comes to, and the cut-offs of both."""
    texts = [
        pl.col(name).dt.strftime("%Y-%m-%dT%H:%M:%S%.6f+00:00")
        if name in INSTANTS
        else digits(pl.col(name)).alias(name)
        for name in SAID
    ]
    return pl.struct("sequence", *texts).struct.json_encode()


def digits(decimal: pl.Expr) -> pl.Expr:
    """A decimal as plain text without trailing zeros."""
    return decimal.cast(pl.String).str.strip_chars_end("0").str.strip_chars_end(".")
