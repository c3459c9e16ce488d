"""Decimal arithmetic in frames that cannot round and cannot wrap.

Polars keeps a Decimal as a 128-bit integer of its smallest unit. Its own product rounds to the larger input scale and
its ``group_by`` sum wraps without a word, so both are done here on the integers, each behind a bounds check. Where a
result does not fit Decimal(38, 24) the value is null: never another number. (Measured: the checked integer product
is also twice as fast as the Decimal one.)
"""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from functools import cache
from typing import Final

import polars as pl

from core.limits import DECIMAL_PRECISION, QUANTITY_SCALE
from core.quantity import EXACT
from rating.charge import AMOUNT

UNITS: Final = pl.Int128()
DIGITS: Final = pl.Decimal(DECIMAL_PRECISION, 0)
LARGEST: Final = 10**DECIMAL_PRECISION - 1
LIMB: Final = 10 ** (DECIMAL_PRECISION // 2)
# What ``group_sum`` makes of a column.
HALVES: Final = ("high", "low", "nulls")
# The integer underneath a 1 of scale 12.
ONE: Final = 10**QUANTITY_SCALE


@cache
def whole(number: int) -> pl.Expr:
    """A literal as wide as the numbers it meets."""
    return pl.lit(number, dtype=UNITS)


def units(decimal: pl.Expr) -> pl.Expr:
    """The integer of smallest units underneath a Decimal."""
    return decimal.reinterpret(dtype=UNITS)


def as_amount(amount_units: pl.Expr) -> pl.Expr:
    """Integer units of scale 24 as the Decimal they stand for."""
    return amount_units.reinterpret(dtype=AMOUNT)


def product(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """Units of scale 24 of the product of two units of scale 12; null where it does not fit."""
    room = whole(LARGEST) // pl.max_horizontal(right.abs(), whole(1))
    return pl.when(left.abs() <= room).then(left).otherwise(None) * right


def plus(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """The sum of two integers of at most 38 digits; null where it does not fit or where either is null."""
    # A sum that wraps 128 bits comes out beyond 1.4 x 10^38 on the other side, so the bounds catch it as well. They are
    # those of a Decimal of 38 digits, which is asked for them because it works the sum out once, not for each of them.
    return (left + right).cast(DIGITS, strict=False).reinterpret(dtype=UNITS)


def minus(left: pl.Expr, right: pl.Expr) -> pl.Expr:
    """The difference of two integers; null where it does not fit or where either is null."""
    return plus(left, right * whole(-1))


def adds_up(numbers: pl.Series) -> bool:
    """Whether all integers of a column are there, and so small that no sum of any of them has more than 38 digits."""
    return numbers.null_count() == 0 and largest_of(numbers) * len(numbers) <= LARGEST


def largest_of(numbers: pl.Series) -> int:
    """The largest magnitude, in the integers underneath; 0 of none."""
    # Asked of the column itself: an expression takes longer than a line that is rated by itself has.
    ends = [number for number in (numbers.min(), numbers.max()) if number is not None]
    return max((abs(in_units(number)) for number in ends), default=0)


def in_units(number: object) -> int:
    """The integer underneath a number of a column of integers, or of Decimals of scale 12."""
    if isinstance(number, int):
        return number
    assert isinstance(number, Decimal), "a column of one or the other"
    return int(number.scaleb(QUANTITY_SCALE, EXACT))


@cache
def small_cost() -> pl.Expr:
    """``cost`` of LINES that are known to be ``small``: the same number, in one multiplication."""
    return units(pl.col("quantity")) * units(pl.col("unit_price"))


def small(lines: pl.DataFrame, terms: pl.DataFrame) -> bool:
    """Whether quantity x unit_price + flat_price fits of any of the LINES and any of the terms, and nothing is finer.

    Then no product and no sum has to be checked row by row, which takes most of the time of working it out.
    """
    if lines["finer"].null_count() or largest_of(lines["finer"]):
        return False
    quantity = largest_of(lines["quantity"])
    flat = max(largest_of(terms["flat_price"]), largest_of(terms["max_amount"]))
    fits: bool = quantity * largest_of(terms["unit_price"]) + flat * ONE <= LARGEST
    return fits


def group_sum(name: str) -> list[pl.Expr]:
    """Aggregations that add integers of a group up in two halves, so that neither half can wrap.

    They are read back by ``group_total``. Half a number has 19 digits: 10^19 rows would be needed to wrap it.
    """
    value = pl.col(name)
    parts = ((value // whole(LIMB)).sum(), (value % whole(LIMB)).sum(), value.null_count())
    return [part.alias(f"{name}.{half}") for part, half in zip(parts, HALVES, strict=True)]


def group_total(name: str) -> pl.Expr:
    """The sum that ``group_sum`` added up; null where it does not fit or where a member was null."""
    low = pl.col(f"{name}.low")
    # The low half is never negative, for // floors; its own carry moves up first.
    high = pl.col(f"{name}.high") + low // whole(LIMB)
    rest = low % whole(LIMB)
    fits = (pl.col(f"{name}.nulls") == 0) & high.is_between(whole(-LIMB), whole(LIMB - 1))
    total = pl.when(fits).then(high * whole(LIMB) + rest).otherwise(None)
    # Minus ten to the 38th has 39 digits, and is the one number that the halves let through.
    return pl.when(total >= whole(-LARGEST)).then(total).otherwise(None)


def sums_by_line(rows: pl.DataFrame, names: Sequence[str], *more: pl.Expr) -> pl.DataFrame:
    """Integers added up for each ``line``, in the order of first rows; ``more`` are other aggregations.

    A sum that does not fit is null, and so is one with a member that is null.
    """
    plain = [name for name in names if adds_up(rows[name])]
    halved = [name for name in names if name not in plain]
    halves = [half for name in halved for half in group_sum(name)]
    summed = rows.group_by("line", maintain_order=True).agg(pl.sum(*plain) if plain else [], *halves, *more)
    if not halved:
        return summed
    totals = summed.with_columns(group_total(name).alias(name) for name in halved)
    return totals.drop(f"{name}.{part}" for name in halved for part in HALVES)


def sums_of_runs(numbers: pl.Series, lengths: pl.Series) -> pl.Series:
    """The sums of integers that lie together, each of so many as ``lengths`` say; of a column that ``adds_up`` only.

    A ``group_by`` takes three times as long.
    """
    up_to = numbers.cum_sum().gather(lengths.cum_sum() - 1)
    return up_to - up_to.shift(1, fill_value=0)


def scaled(left: pl.Expr, right: pl.Expr, divisor: int = 10**QUANTITY_SCALE) -> pl.Expr:
    """``left x right / divisor`` of integers, halves away from zero; null where it does not fit. ``divisor`` is even.

    Each side is cut in two at the divisor, so that no part of the product is wider than the result.
    """
    high, low, right_high, right_low = *cut(left.abs(), divisor), *cut(right.abs(), divisor)
    rounded = (low * right_low + whole(divisor // 2)) // whole(divisor)
    total = plus(plus(product(high, right.abs()), low * right_high), rounded)
    return total * left.sign() * right.sign()


def cut(number: pl.Expr, divisor: int) -> tuple[pl.Expr, pl.Expr]:
    """Quotient and remainder of an integer that is not negative."""
    return number // whole(divisor), number % whole(divisor)


def cost(quantity: pl.Expr, finer: pl.Expr, unit_price: pl.Expr) -> pl.Expr:
    """Units of scale 24 of a quantity (units of scale 12, and the 12 places below them) times a unit price.

    Exact, but for what a finer quantity has below the 24th place: that is rounded once, halves away from zero.
    """
    price_high, price_low = cut(unit_price, ONE)
    below = finer.cast(UNITS).abs()
    # Each part of it has fewer than 32 digits: the finer places are below 10^12, and a price is not negative.
    fraction = below * price_high + (below * price_low + whole(ONE // 2)) // whole(ONE)
    return plus(product(quantity, unit_price), fraction * finer.cast(UNITS).sign())
