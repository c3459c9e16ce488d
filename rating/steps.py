"""The order in which a line is worked out, written down in this one place.

    before   unit_conversion      a price speaks of sold units, not of measured ones
             round_quantity       of sold units, so after the conversion
             free_units           sold units too, so whole ones where quantities are rounded
             included_units       what is above them is not the model's to price
    price    quantity -> amount   exact: the product of two scale-12 decimals has scale 24, and keeps it
    after    overage              the units above those included are part of the price
             discount_percent     of the price
             maximum_amount       a limit on what is paid, so after the discount
             minimum_amount       stronger than the maximum: it is what was promised
             commitment           its overage is what is above all of the above; then the true-up
             pricing_unit         all amounts so far are in it

A price by bucket does all of this up to the overage in each hour or day by itself, and what follows with their sum. A
commitment per bucket is met, or not, in each bucket: so it comes before the sum.

Rounding to money is no step of rating at all: it happens once, on the invoice line.
"""

from __future__ import annotations

from typing import Final

import polars as pl

from rating.amount_steps import add_overage, discount, maximum, minimum, overage_factor, to_currency, true_up
from rating.before_after import ADJUSTMENT_TERMS
from rating.buckets import after_buckets, only_committed, price_buckets
from rating.detail import Detail, told_inputs
from rating.exact import ONE, UNITS, as_amount, product, units, whole
from rating.pack import pack_steps
from rating.priced import Step, by_line, charged, in_turn, price, replaced, totals_of
from rating.quantity_steps import convert_units, round_quantity, split_included, take_free_units
from rating.terms import ReadPrices

BEFORE_PRICE: Final[tuple[Step, ...]] = (convert_units, round_quantity, take_free_units, split_included)
AFTER_PRICE: Final[tuple[Step, ...]] = (add_overage, discount, maximum, minimum)
AFTER_COMMITMENT: Final[tuple[Step, ...]] = (overage_factor, true_up, to_currency)
# Of a price by bucket: up to here each bucket by itself, from here on the sum of all of them.
IN_BUCKET: Final[tuple[Step, ...]] = (add_overage,)
IN_BUCKET_COMMITMENT: Final[tuple[Step, ...]] = (overage_factor, true_up)
AFTER_BUCKETS: Final[tuple[Step, ...]] = (discount, maximum, minimum)
ADJUSTED: Final = ["line", "worked", *ADJUSTMENT_TERMS]


def work_out(
    lines: pl.DataFrame, known: pl.DataFrame, prices: ReadPrices, detail: Detail, hashes: pl.DataFrame
) -> pl.DataFrame:
    """Charge every line; adds ``amount`` (null where it does not fit) and ``tiers`` to the lines.

    ``known`` are the LINES whose price could be read; the others meet no model and get neither. ``hashes`` are those of
    the detail.
    """
    plain = known.join(prices.adjustments, on="price_number", how="anti", maintain_order="left")
    parts = [told_inputs(hashes.join(known, on="line", how="semi", maintain_order="left"))]
    parts.append(charged(plain, prices, detail))
    adjusted = pl.DataFrame()
    if plain.height < known.height:
        adjusted, told = with_adjustments(known, prices, detail)
        parts += told
    steps = by_line(parts)
    totals = totals_of(steps)
    worked = totals if adjusted.is_empty() else replaced(totals, adjusted)
    amounts = worked.select(
        "line", pack_steps(steps, totals["length"]).alias("tiers"), amount=as_amount(pl.col("worked"))
    )
    if amounts.height == lines.height:
        # Lines are numbered in their order, so both lie side by side already.
        return lines.hstack(amounts.drop("line"))
    return lines.join(amounts, on="line", how="left", maintain_order="left")


def with_adjustments(
    known: pl.DataFrame, prices: ReadPrices, detail: Detail
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """LINES whose price says something beside its model, with what they come to, and parts of their STEPS."""
    buckets = pl.col("bucket").is_not_null()
    priced = []
    committed = commitments(prices)
    for in_buckets in (False, True):
        terms = prices.adjustments.filter(buckets if in_buckets else ~buckets)
        own = known.join(terms, on="price_number", how="semi", maintain_order="left")
        if own.is_empty():
            continue
        if in_buckets:
            order = {"before": BEFORE_PRICE, "after": IN_BUCKET, "committed": IN_BUCKET_COMMITMENT}
            priced.append(after_buckets(price_buckets(own, prices, detail, committed, **order), AFTER_BUCKETS))
        else:
            priced.append(price(own, prices, detail, BEFORE_PRICE, AFTER_PRICE))
    adjusted = pl.concat([one.adjusted.select(ADJUSTED) for one in priced])
    promised = adjusted.join(committed, on="price_number", how="left", maintain_order="left")
    adjusted, told = in_turn(only_committed(promised, "period"), AFTER_COMMITMENT)
    return adjusted, [*(one.steps for one in priced), told]


def commitments(prices: ReadPrices) -> pl.DataFrame:
    """The commitment of each price in units of scale 24: its amount, or what its quantity costs by the same price.

    A committed quantity is one of sold units, so that no unit is converted, rounded or given away.
    """
    terms = prices.adjustments
    by_amount = terms.filter(pl.col("committed_amount").is_not_null()).select(
        "price_number", commitment=product(units(pl.col("committed_amount")), whole(ONE))
    )
    wanted = terms.filter(pl.col("committed_quantity").is_not_null()).with_row_index("line")
    if wanted.is_empty():
        return by_amount
    # Of a price by bucket it is what the quantity costs in one bucket.
    lines = wanted.select("line", "price_number", quantity="committed_quantity", finer=pl.lit(0, dtype=pl.Int64))
    in_bucket = lines.join(wanted.filter(pl.col("bucket").is_not_null()), on="line", how="semi", maintain_order="left")
    in_period = lines.join(in_bucket, on="line", how="anti", maintain_order="left")
    by_quantity = [
        some.join(price(some, prices, Detail(), (split_included,), after).adjusted, on="line").select(
            "price_number", commitment=pl.col("worked").cast(UNITS)
        )
        for some, after in ((in_period, AFTER_PRICE), (in_bucket, IN_BUCKET))
    ]
    return pl.concat([by_amount, *by_quantity])
