"""Rounds the amounts of many lines to minor units at once, exactly as ``core.money.to_money`` rounds one."""

from __future__ import annotations

import polars as pl

from core.limits import AMOUNT_SCALE
from core.money import minor_digits

UNITS = pl.Int128()


def with_minor(lines: pl.DataFrame, amount: str, minor: str) -> pl.DataFrame:
    """Add ``minor``: the column ``amount``, a Decimal of scale 24, in minor units of the row's ``currency``.

    Halves go away from zero. The arithmetic is on integers, so nothing is rounded twice. Raises ``Refused`` for an
    unknown currency. A Decimal(38, 24) has 14 digits before the point, so its minor units always fit 64 bits.
    """
    digits = {currency: minor_digits(currency) for currency in lines["currency"].unique()}
    known = pl.col("currency").replace_strict(digits, return_dtype=pl.UInt8)
    unit = pl.coalesce(
        pl.lit(None, dtype=UNITS),
        *(pl.when(known == places).then(unit_of(places)) for places in sorted(set(digits.values()))),
    )
    value = pl.col(amount).reinterpret(dtype=UNITS)
    rounded = (value.abs() + unit // 2) // unit
    return lines.with_columns((rounded * value.sign()).cast(pl.Int64).alias(minor))


def unit_of(places: int) -> pl.Expr:
    """How many units of scale 24 one minor unit has."""
    return pl.lit(10 ** (AMOUNT_SCALE - places), dtype=UNITS)
