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

Rounding to money is no step of rating at all: it happens once, on the invoice line.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl

from rating.amount_steps import add_overage, discount, maximum, minimum, overage_factor, to_currency, true_up
from rating.detail import Detail
from rating.exact import ONE, UNITS, as_amount, group_sum, group_total, product, units, whole
from rating.models import MODELS
from rating.pack import pack_steps
from rating.quantity_steps import (
    as_lines,
    convert_units,
    in_parts,
    round_quantity,
    split_included,
    take_free_units,
)
from rating.shapes import EVENT_LINES, GROUP_LINES, LINES, STEPS, Model, completed
from rating.terms import ReadPrices

Step = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]

BEFORE_PRICE: Final[tuple[Step, ...]] = (convert_units, round_quantity, take_free_units, split_included)
AFTER_PRICE: Final[tuple[Step, ...]] = (add_overage, discount, maximum, minimum)
AFTER_COMMITMENT: Final[tuple[Step, ...]] = (overage_factor, true_up, to_currency)


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """Lines with a price beside their model's, their ``worked`` amount, and STEPS of all lines, sorted by line."""

    adjusted: pl.DataFrame
    totals: pl.DataFrame
    steps: pl.DataFrame


def work_out(lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """Charge every line; adds ``amount`` (null where it does not fit) and ``tiers`` to the lines.

    A line whose price was refused has no terms, meets no model and gets neither.
    """
    priced = price(numbered(lines, prices), prices, detail, BEFORE_PRICE)
    worked, steps = priced.totals, priced.steps
    if not priced.adjusted.is_empty():
        committed = priced.adjusted.join(commitments(prices), on="price_number", how="left", maintain_order="left")
        adjusted, told = in_turn(committed, AFTER_COMMITMENT)
        worked = replaced(worked, adjusted)
        steps = by_line([steps, told])
    packed = pack_steps(steps)
    assert packed["line"].equals(worked["line"]), "every line has steps, and both are sorted by line"
    amounts = packed.with_columns(worked["worked"]).select("line", "tiers", amount=as_amount(pl.col("worked")))
    if amounts.height == lines.height:
        # Lines are numbered in their order, so both lie side by side already.
        return lines.hstack(amounts.drop("line"))
    return lines.join(amounts, on="line", how="left", maintain_order="left")


def price(lines: pl.DataFrame, prices: ReadPrices, detail: Detail, before: Sequence[Step]) -> Priced:
    """What LINES cost by their model and what stands beside it, up to and without the commitment."""
    adjusted = in_parts(lines.join(prices.adjustments, on="price_number", maintain_order="left"))
    adjusted, told_before = in_turn(adjusted, before)
    plain = lines.join(prices.adjustments, on="price_number", how="anti", maintain_order="left")
    ready = pl.concat([plain.select(list(LINES)), as_lines(adjusted).select(list(LINES))])
    charged_steps = charged(ready, prices, detail)
    totals = totals_of(charged_steps)
    with_amounts = adjusted.join(totals, on="line", how="left", maintain_order="left")
    adjusted, told_after = in_turn(with_amounts, AFTER_PRICE)
    return Priced(adjusted, replaced(totals, adjusted), by_line([told_before, charged_steps, told_after]))


def in_turn(lines: pl.DataFrame, steps: Sequence[Step]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines after all steps, and what the steps tell, in their order."""
    told = [pl.DataFrame(schema=STEPS)]
    if lines.is_empty():
        return lines, told[0]
    for step in steps:
        lines, rows = step(lines)
        told.append(completed(rows.lazy()).collect())
    return lines, pl.concat(told)


def charged(lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """The STEPS of all models, sorted by line."""
    by_model = [
        completed(model.charge(given_to(model.by, own.lazy(), detail), prices.terms[name].lazy()))
        for name, model, own in lines_by_model(lines, prices)
    ]
    return pl.concat(by_model or [pl.LazyFrame(schema=STEPS)]).sort("line", maintain_order=True).collect()


def lines_by_model(lines: pl.DataFrame, prices: ReadPrices) -> Iterator[tuple[str, Model, pl.DataFrame]]:
    """The lines of each model that has any."""
    named = lines.join(prices.numbers.select("price_number", "model"), on="price_number", maintain_order="left")
    for (name,), own in named.partition_by("model", as_dict=True, include_key=False, maintain_order=True).items():
        yield str(name), MODELS[str(name)], own


def numbered(lines: pl.DataFrame, prices: ReadPrices) -> pl.DataFrame:
    """LINES of the lines whose price could be read."""
    known = lines.select("line", "price_id", "quantity").join(prices.numbers, on="price_id", maintain_order="left")
    return known.select("line", "price_number", "quantity", pl.lit(0, dtype=pl.Int64).alias("finer"))


def given_to(by: str, lines: pl.LazyFrame, detail: Detail) -> pl.LazyFrame:
    """The lines as a model reads them: their quantities, their events in order, or their groups."""
    if by == "quantity":
        return lines
    if by == "event":
        if detail.events is None:
            # The whole quantity as one event: prices that would charge it otherwise have been refused.
            return lines.select("line", "price_number", order=pl.lit(0, dtype=pl.Int64), value="quantity")
        events = lines.join(detail.events.lazy(), on="line", how="left", maintain_order="left")
        return events.select(list(EVENT_LINES))
    groups = pl.LazyFrame(schema=GROUP_LINES).drop("price_number") if detail.groups is None else detail.groups.lazy()
    return lines.join(groups, on="line", how="left", maintain_order="left").select(list(GROUP_LINES))


def problems(lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """Rows of (line, problem) for lines that their model cannot charge."""
    found = [pl.DataFrame(schema={"line": pl.UInt32(), "problem": pl.String()})]
    if any(MODELS[name].problems for name in prices.numbers["model"].unique()):
        found += [
            model.problems(given_to(model.by, own.lazy(), detail), prices.terms[name].lazy()).collect()
            for name, model, own in lines_by_model(numbered(lines, prices), prices)
            if model.problems is not None
        ]
    return pl.concat(found)


def totals_of(steps: pl.DataFrame) -> pl.DataFrame:
    """What the steps of each line add up to, as ``worked``; null where it does not fit."""
    return (
        steps.lazy()
        .group_by("line", maintain_order=True)
        .agg(*group_sum("amount"))
        .select("line", worked=group_total("amount"))
        .collect()
    )


def replaced(totals: pl.DataFrame, adjusted: pl.DataFrame) -> pl.DataFrame:
    """The totals, with those of the adjusted lines in their places."""
    if adjusted.is_empty():
        return totals
    anew = adjusted.select("line", anew="worked", changed=pl.lit(value=True))
    joined = totals.join(anew, on="line", how="left", maintain_order="left")
    return joined.select("line", worked=pl.when("changed").then("anew").otherwise("worked"))


def by_line(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of STEPS together, each line's in the order of the parts."""
    kept = [part for part in parts if not part.is_empty()]
    if len(kept) <= 1:
        return kept[0] if kept else parts[0]
    return pl.concat(kept).sort("line", maintain_order=True)


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
    lines = wanted.select("line", "price_number", quantity="committed_quantity", finer=pl.lit(0, dtype=pl.Int64))
    priced = price(lines, prices, Detail(), (split_included,))
    by_quantity = lines.join(priced.totals, on="line").select("price_number", commitment=pl.col("worked").cast(UNITS))
    return pl.concat([by_amount, by_quantity])
