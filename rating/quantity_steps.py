"""What happens to quantities before they are priced. The order is in ``rating.steps``.

A quantity is worked on as sign and magnitude, so that a correction is rounded as what it corrects was: ``sign``,
``whole_part`` in integers of scale 12, and ``finer``, the twelve places below. Only a conversion brings these about.
"""

from __future__ import annotations

import polars as pl

from rating.before_after import said_by_any
from rating.charge import QUANTITY
from rating.exact import ONE, cut, plus, product, units, whole
from rating.round import rounded_to
from rating.shapes import NO_STEPS

Worked = tuple[pl.DataFrame, pl.DataFrame]


def in_parts(lines: pl.DataFrame) -> pl.DataFrame:
    """LINES, with whatever else, as the steps work on them."""
    quantity = units(pl.col("quantity"))
    return lines.with_columns(
        sign=pl.when((quantity < 0) | (pl.col("finer") < 0)).then(whole(-1)).otherwise(whole(1)),
        whole_part=quantity.abs(),
        finer=pl.col("finer").abs().cast(pl.Int128),
        over=pl.lit(0, dtype=pl.Int128),
        over_finer=pl.lit(0, dtype=pl.Int128),
    )


def as_lines(lines: pl.DataFrame) -> pl.DataFrame:
    """The quantities as models read them: LINES."""
    finer = (pl.col("finer") * pl.col("sign")).cast(pl.Int64)
    return lines.select("line", "price_number", quantity=signed("whole_part"), finer=finer)


def signed(name: str) -> pl.Expr:
    """A magnitude as the quantity it is; null where it does not fit."""
    return (product(pl.col(name), whole(1)) * pl.col("sign")).reinterpret(dtype=QUANTITY)


def convert_units(lines: pl.DataFrame) -> Worked:
    """Multiply or divide by the factor, exactly; then round as the conversion says, or else to 24 places."""
    if not said_by_any(lines, "factor"):
        return lines, NO_STEPS
    multiplied, divided = lines.filter(pl.col("op") == "multiply"), lines.filter(pl.col("op") == "divide")
    rest = lines.filter(pl.col("op").is_null()).with_columns(left=pl.lit(0, dtype=pl.Int128))
    converted = pl.concat([times_factor(multiplied), by_factor(divided)])
    rounded = rounded_to(converted, "conversion_mode", "conversion_unit")
    return pl.concat([rounded, rest]).drop("left").sort("line"), told(rounded, "unit_conversion", "factor")


def times_factor(lines: pl.DataFrame) -> pl.DataFrame:
    """The product with the factor, which has 24 places; nothing is ``left``."""
    factor = units(pl.col("factor"))
    (high, low), (factor_high, factor_low) = cut(pl.col("whole_part"), ONE), cut(factor, ONE)
    below = low * factor_low
    whole_part = plus(plus(product(high, factor), low * factor_high), below // whole(ONE))
    return lines.with_columns(whole_part=whole_part, finer=below % whole(ONE), left=whole(0))


def by_factor(lines: pl.DataFrame) -> pl.DataFrame:
    """The quotient to 24 places, digit by digit as on paper; ``left`` is the remainder, as a part of 10^12.

    Six digits at a time, because a remainder has up to 31 digits of the 38 that there are.
    """
    factor = units(pl.col("factor"))
    worked = lines.with_columns(
        quotient=pl.col("whole_part") // factor, left=pl.col("whole_part") % factor, digits=whole(0)
    )
    for place in range(4):
        if place == 2:
            worked = worked.with_columns(upper=pl.col("digits"), digits=whole(0))
        shifted = pl.col("left") * whole(10**6)
        worked = worked.with_columns(digits=pl.col("digits") * whole(10**6) + shifted // factor, left=shifted % factor)
    # Where the remainder stands against half of the factor is all that a rounding needs to know of it.
    double = pl.col("left") * 2
    place_of_half = (
        pl.when(pl.col("left") == 0)
        .then(whole(0))
        .when(double < factor)
        .then(whole(1))
        .when(double == factor)
        .then(whole(ONE // 2))
        .otherwise(whole(ONE - 1))
    )
    return worked.with_columns(
        whole_part=plus(product(pl.col("quotient"), whole(ONE)), pl.col("upper")),
        finer=pl.col("digits"),
        left=place_of_half,
    ).drop("quotient", "upper", "digits")


def round_quantity(lines: pl.DataFrame) -> Worked:
    """Round to the places that the price sells in."""
    if not said_by_any(lines, "round_mode"):
        return lines, NO_STEPS
    places = lines.select(pl.col("round_mode").is_not_null().arg_true()).to_series()
    said = lines.select("line", "sign", "whole_part", "finer", "round_mode", "round_unit", left=whole(0))[places]
    rounded = rounded_to(said, "round_mode", "round_unit")
    parts = [lines[name].clone().scatter(places, rounded[name]) for name in ("whole_part", "finer")]
    return lines.with_columns(parts), told(rounded, "round_quantity")


def take_free_units(lines: pl.DataFrame) -> Worked:
    """Take the free units off, down to none; a correction below zero has none to take."""
    if not said_by_any(lines, "free_units"):
        return lines, NO_STEPS
    free, charged = units(pl.col("free_units")), pl.col("sign") > 0
    left = lines.with_columns(
        whole_part=pl.when(~charged | pl.col("free_units").is_null())
        .then(pl.col("whole_part"))
        .when(pl.col("whole_part") >= free)
        .then(pl.col("whole_part") - free)
        .when(pl.col("whole_part").is_not_null())
        .then(whole(0)),
        finer=pl.when(charged & (pl.col("whole_part") < free)).then(whole(0)).otherwise(pl.col("finer")),
    )
    return left, told(left.filter(pl.col("free_units").is_not_null()), "free_units", "free_units")


def split_included(lines: pl.DataFrame) -> Worked:
    """Leave the model the units that are included, and put the rest down as ``over`` and ``over_finer``."""
    if not said_by_any(lines, "included_units"):
        return lines, NO_STEPS
    included = units(pl.col("included_units"))
    beyond = (pl.col("sign") > 0) & (
        (pl.col("whole_part") > included) | ((pl.col("whole_part") == included) & (pl.col("finer") > 0))
    )
    split = lines.with_columns(
        over=pl.when(beyond).then(pl.col("whole_part") - included).otherwise(pl.col("over")),
        over_finer=pl.when(beyond).then(pl.col("finer")).otherwise(pl.col("over_finer")),
        whole_part=pl.when(beyond).then(included).otherwise(pl.col("whole_part")),
        finer=pl.when(beyond).then(whole(0)).otherwise(pl.col("finer")),
    )
    return split, told(split.filter(pl.col("included_units").is_not_null()), "included_units", "included_units")


def told(lines: pl.DataFrame, label: str, by: str | None = None) -> pl.DataFrame:
    """A row of STEPS for each line: what the step left of its quantity."""
    return lines.select(
        "line",
        pl.lit(0, dtype=pl.UInt32).alias("tier"),
        quantity=signed("whole_part"),
        finer=(pl.col("finer") * pl.col("sign")).cast(pl.Int64),
        unit_price=pl.col(by) if by else pl.lit(None, dtype=QUANTITY),
        label=pl.lit(label),
        amount=whole(0),
    )
