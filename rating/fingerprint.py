"""The input hash of a line: SHA-256 over everything that determined it, and over nothing else.

No run, clock or random id goes in, so the same inputs have the same hash in every run, and another hash proves
that an input changed. The text under the hash is the fields below, joined by the unit separator; anybody can write it
down from a charge line and check it with ``sha256sum``.
"""

from __future__ import annotations

from typing import Final

import polars as pl
import polars_hash as plh

# Raised when the same inputs would be charged otherwise, so that a hash never vouches for two results.
RULES: Final = "millrace-rating-1"
SEPARATOR: Final = "\x1f"

FIELDS: Final = (
    "merchant_id",
    "subscription_id",
    "customer_id",
    "meter_id",
    "meter",
    "aggregation",
    "price_id",
    "model",
    "currency",
    "period_start",
    "period_end",
    "quantity",
    "price",
)


def input_text() -> pl.Expr:
    """The text that is hashed: instants as microseconds since 1970, quantities with all twelve places.

    A line that was charged by its events, groups or buckets has one field more, ``detail``: the hash of all of them.
    """
    instants = ("period_start", "period_end")
    columns = [pl.col(name).dt.epoch("us") if name in instants else pl.col(name) for name in FIELDS]
    # Null, and so left out, for every line that its quantity alone determines.
    return pl.concat_str([pl.lit(RULES), *columns, pl.col("detail")], separator=SEPARATOR, ignore_nulls=True)


def input_hash() -> pl.Expr:
    """The hash as 64 hexadecimal digits."""
    return plh.concat_str(input_text()).chash.sha2_256()
