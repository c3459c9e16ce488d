"""The input hash of a line: SHA-256 over everything that determined it, and over nothing else.

No run, clock or random id goes in, so the same inputs have the same hash in every run, and another hash proves
that an input changed. What a line shares with others is hashed once for all of them, and stands as that hash in the
text of the line. Both texts are the fields below, joined by the unit separator; anybody can write them down from a
charge line and check them with ``sha256sum``.
"""

from __future__ import annotations

from typing import Final

import polars as pl
import polars_hash as plh

from rating.shared import SHARED

# Raised when the same inputs would be charged otherwise, so that a hash never vouches for two results, and when the
# texts change. ``invoicing.explain`` knows those before.
RULES: Final = "millrace-rating-2"
SEPARATOR: Final = "\x1f"
# ``shared_hash`` is the hash of what is shared.
FIELDS: Final = ("shared_hash", "subscription_id", "customer_id", "quantity")


def shared_hash() -> pl.Expr:
    """The hash of SHARED, with instants as microseconds since 1970."""
    instants = ("period_start", "period_end")
    columns = [pl.col(name).dt.epoch("us") if name in instants else pl.col(name) for name in SHARED]
    return hashed(pl.concat_str([pl.lit(RULES), *columns], separator=SEPARATOR, ignore_nulls=True))


def input_hash() -> pl.Expr:
    """The hash of lines, as 64 hexadecimal digits; their quantities with all twelve places.

    A line that was charged by its events, groups or buckets has one field more, ``detail``: the hash of all of them.
    """
    # Null, and so left out, for every line that its quantity alone determines.
    return hashed(pl.concat_str([*FIELDS, "detail"], separator=SEPARATOR, ignore_nulls=True))


def hashed(text: pl.Expr) -> pl.Expr:
    """SHA-256 of a text."""
    return plh.concat_str(text).chash.sha2_256()
