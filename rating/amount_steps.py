"""What happens to amounts after they are priced. The order is in ``rating.steps``.

Each step works on ``worked``, the amount so far in integers of scale 24, and tells what it added or took away. What
does not fit is null, and stays null.
"""

from __future__ import annotations

import polars as pl

from rating.before_after import said_by_any
from rating.charge import QUANTITY
from rating.exact import ONE, cost, minus, plus, product, scaled, units, whole
from rating.shapes import NO_STEPS

Worked = tuple[pl.DataFrame, pl.DataFrame]


def add_overage(lines: pl.DataFrame) -> Worked:
    """Charge the units above those included."""
    if not said_by_any(lines, "included_units"):
        return lines, NO_STEPS
    said = pl.col("included_units").is_not_null()
    overage = cost(pl.col("over"), pl.col("over_finer"), units(pl.col("overage_unit_price")))
    shown = ("over", "over_finer", "overage_unit_price")
    changed, own = changed_by(lines, said, plus(pl.col("worked"), overage), *shown)
    quantity = pl.col("over").reinterpret(dtype=QUANTITY)
    return changed, told(own, "overage", price="overage_unit_price", quantity=quantity, finer=pl.col("over_finer"))


def discount(lines: pl.DataFrame) -> Worked:
    """Take the percentage off: what is left is rounded to 24 places, halves away from zero."""
    if not said_by_any(lines, "discount"):
        return lines, NO_STEPS
    said = pl.col("discount").is_not_null()
    discounted = scaled(pl.col("worked"), whole(ONE) - units(pl.col("discount")))
    changed, own = changed_by(lines, said, discounted, "discount")
    return changed, told(own, "discount_percent", price="discount")


def maximum(lines: pl.DataFrame) -> Worked:
    """Cut what is above the maximum."""
    if not said_by_any(lines, "maximum"):
        return lines, NO_STEPS
    most = product(units(pl.col("maximum")), whole(ONE))
    limited = pl.when(pl.col("worked") > most).then(most).otherwise(pl.col("worked"))
    changed, own = changed_by(lines, pl.col("maximum").is_not_null(), limited, "maximum")
    return changed, told(own, "maximum_amount", flat="maximum")


def minimum(lines: pl.DataFrame) -> Worked:
    """Fill up to the minimum."""
    if not said_by_any(lines, "minimum"):
        return lines, NO_STEPS
    least = product(units(pl.col("minimum")), whole(ONE))
    filled = pl.when(pl.col("worked") < least).then(least).otherwise(pl.col("worked"))
    changed, own = changed_by(lines, pl.col("minimum").is_not_null(), filled, "minimum")
    return changed, told(own, "minimum_amount", flat="minimum")


def overage_factor(lines: pl.DataFrame) -> Worked:
    """What is above the commitment costs the factor; the commitment is in ``commitment``, in units of scale 24."""
    if not said_by_any(lines, "overage_factor"):
        return lines, NO_STEPS
    said, committed = pl.col("overage_factor").is_not_null(), pl.col("commitment")
    above = minus(pl.col("worked"), committed)
    charged = plus(committed, scaled(above, units(pl.col("overage_factor"))))
    worked = pl.when(above.is_null() | (above > 0)).then(charged).otherwise(pl.col("worked"))
    changed, own = changed_by(lines, said, worked, "overage_factor")
    return changed, told(own, "commitment_overage", price="overage_factor")


def true_up(lines: pl.DataFrame) -> Worked:
    """Fill up to the commitment."""
    if not said_by_any(lines, "true_up"):
        return lines, NO_STEPS
    said = pl.col("true_up").fill_null(value=False)
    filled = pl.when(pl.col("worked") < pl.col("commitment")).then(pl.col("commitment")).otherwise(pl.col("worked"))
    changed, own = changed_by(lines, said, filled)
    return changed, told(own, "commitment_true_up")


def to_currency(lines: pl.DataFrame) -> Worked:
    """Turn pricing units (credits, tokens) into the currency."""
    if not said_by_any(lines, "conversion_rate"):
        return lines, NO_STEPS
    said = pl.col("conversion_rate").is_not_null()
    changed, own = changed_by(
        lines, said, scaled(pl.col("worked"), units(pl.col("conversion_rate"))), "conversion_rate"
    )
    return changed, told(own, "pricing_unit", price="conversion_rate")


def changed_by(lines: pl.DataFrame, said: pl.Expr, worked: pl.Expr, *shown: str) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines with the amounts that a step makes; and those whose price says this, with what was ``before``.

    Of the latter only what the step needs is there, and the columns that are ``shown``.
    """
    places = lines.select(said.arg_true()).to_series()
    needed = dict.fromkeys(("line", "worked", *worked.meta.root_names(), *shown))
    own = lines.select(list(needed))[places].with_columns(before=pl.col("worked"), worked=worked)
    return lines.with_columns(lines["worked"].clone().scatter(places, own["worked"])), own


def told(
    own: pl.DataFrame,
    label: str,
    *,
    price: str | None = None,
    flat: str | None = None,
    quantity: pl.Expr | None = None,
    finer: pl.Expr | None = None,
) -> pl.DataFrame:
    """A row of STEPS for each line: what the step added or took away."""
    none = pl.lit(None, dtype=QUANTITY)
    return own.select(
        "line",
        pl.lit(0, dtype=pl.UInt32).alias("tier"),
        quantity=none if quantity is None else quantity,
        finer=(whole(0) if finer is None else finer).cast(pl.Int64),
        unit_price=pl.col(price) if price else none,
        flat_price=pl.col(flat) if flat else none,
        label=pl.lit(label),
        amount=minus(pl.col("worked"), pl.col("before")),
    )
