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
from rating.buckets import after_buckets, only_committed, price_buckets
from rating.detail import Detail, told_inputs
from rating.exact import ONE, UNITS, as_amount, product, units, whole
from rating.pack import pack_steps
from rating.priced import (
    Step,
    are_among,
    by_line,
    charged,
    in_turn,
    prepared,
    price,
    replaced,
    totals_of,
    with_amounts,
)
from rating.quantity_steps import as_lines, convert_units, round_quantity, split_included, take_free_units
from rating.terms import ReadPrices

BEFORE_PRICE: Final[tuple[Step, ...]] = (convert_units, round_quantity, take_free_units, split_included)
AFTER_PRICE: Final[tuple[Step, ...]] = (add_overage, discount, maximum, minimum)
AFTER_COMMITMENT: Final[tuple[Step, ...]] = (overage_factor, true_up, to_currency)
# Of a price by bucket: up to here each bucket by itself, from here on the sum of all of them.
IN_BUCKET: Final[tuple[Step, ...]] = (add_overage,)
IN_BUCKET_COMMITMENT: Final[tuple[Step, ...]] = (overage_factor, true_up)
AFTER_BUCKETS: Final[tuple[Step, ...]] = (discount, maximum, minimum)
# What is asked of a line after its commitment is known.
ADJUSTED: Final = ["line", "price_number", "worked", "overage_factor", "true_up", "commitment_per", "conversion_rate"]


def work_out(
    lines: pl.DataFrame, known: pl.DataFrame, prices: ReadPrices, detail: Detail, hashes: pl.DataFrame
) -> pl.DataFrame:
    """Charge every line; adds ``amount`` (null where it does not fit) and ``tiers`` to the lines.

    ``known`` are the LINES whose price could be read; the others meet no model and get neither. ``hashes`` are those of
    the detail.
    """
    plain, parts, adjusted = known, [], pl.DataFrame()
    if not prices.adjustments.is_empty():
        plain = known.filter(~are_among(known["price_number"], prices.adjustments["price_number"]))
    if not hashes.is_empty():
        charged_all = known.height == lines.height
        told = hashes if charged_all else hashes.join(known, on="line", how="semi", maintain_order="left")
        parts.append(told_inputs(told))
    if plain.height == known.height:
        parts.append(charged(plain, prices, detail))
    else:
        adjusted, steps_of_all = with_adjustments(plain, known, prices, detail)
        parts += steps_of_all
    steps = by_line(parts)
    totals = totals_of(steps)
    worked = totals if adjusted.is_empty() else replaced(totals, adjusted)
    amounts = worked.select(
        "line", pack_steps(steps, totals["length"]).alias("tiers"), amount=as_amount(pl.col("worked"))
    )
    if amounts.height == lines.height:
        # Lines are numbered in their order, so both lie side by side already.
        return lines.hstack([amounts["tiers"], amounts["amount"]])
    return lines.join(amounts, on="line", how="left", maintain_order="left")


def with_adjustments(
    plain: pl.DataFrame, known: pl.DataFrame, prices: ReadPrices, detail: Detail
) -> tuple[pl.DataFrame, list[pl.DataFrame]]:
    """Lines whose price says something beside its model, with what they come to, and parts of the STEPS of all lines.

    ``plain`` are the LINES whose price does not: they go through the models together with the others.
    """
    committed = commitments(prices)
    by_bucket = pl.col("bucket").is_not_null()
    terms, bucket_terms = prices.adjustments.filter(~by_bucket), prices.adjustments.filter(by_bucket)
    whole_period = known.filter(are_among(known["price_number"], terms["price_number"]))
    adjusted, told_before = prepared(whole_period, prices, BEFORE_PRICE)
    steps = charged(pl.concat([plain, as_lines(adjusted)]), prices, detail)
    adjusted, told_after = in_turn(with_amounts(adjusted, steps), AFTER_PRICE)
    found, parts = [adjusted.select(ADJUSTED)], [told_before, steps, told_after]
    bucketed = known.filter(are_among(known["price_number"], bucket_terms["price_number"]))
    if not bucketed.is_empty():
        order = {"before": BEFORE_PRICE, "after": IN_BUCKET, "committed": IN_BUCKET_COMMITMENT}
        summed = after_buckets(price_buckets(bucketed, prices, detail, committed, **order), AFTER_BUCKETS)
        found.append(summed.adjusted.select(ADJUSTED))
        parts.append(summed.steps)
    promised = pl.concat(found).join(committed, on="price_number", how="left", maintain_order="left")
    adjusted, told = in_turn(only_committed(promised, "period"), AFTER_COMMITMENT)
    return adjusted, [*parts, told]


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
