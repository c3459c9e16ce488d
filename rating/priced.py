"""Lines priced by their models, with steps before and after: the mechanism, which knows no order of its own.

The order of the steps is in ``rating.steps``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import polars as pl

from rating.detail import Detail
from rating.exact import adds_up, small, sums_by_line, sums_of_runs
from rating.models import MODELS
from rating.quantity_steps import as_lines, in_parts
from rating.shapes import EVENT_LINES, GROUP_LINES, NO_STEPS, Model, completed
from rating.terms import PLACES, ReadPrices

NO_PROBLEMS = pl.DataFrame(schema={"line": pl.UInt32(), "problem": pl.String()})
Step = Callable[[pl.DataFrame], tuple[pl.DataFrame, pl.DataFrame]]


@dataclass(frozen=True, slots=True, eq=False)
class Priced:
    """Lines with all that their price says, their ``worked`` amount, and STEPS, each line's in their order."""

    adjusted: pl.DataFrame
    steps: pl.DataFrame


def price(
    lines: pl.DataFrame, prices: ReadPrices, detail: Detail, before: Sequence[Step], after: Sequence[Step]
) -> Priced:
    """What LINES whose price says something beside its model cost by the model and some of what stands beside it."""
    adjusted, told_before = prepared(lines, prices, before)
    steps = charged(as_lines(adjusted), prices, detail)
    adjusted, told_after = in_turn(with_amounts(adjusted, steps), after)
    return Priced(adjusted, pl.concat([told_before, steps, told_after]))


def prepared(lines: pl.DataFrame, prices: ReadPrices, before: Sequence[Step]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """LINES with all that their price says, after the steps before their model, and what these tell."""
    return in_turn(in_parts(lines.join(prices.adjustments, on="price_number", maintain_order="left")), before)


def with_amounts(lines: pl.DataFrame, steps: pl.DataFrame) -> pl.DataFrame:
    """Lines with what their STEPS come to, as ``worked``; there may be steps of others."""
    own = steps.select("line", "amount").filter(are_among(steps["line"], lines["line"]))
    totals = totals_of(own).select("line", "worked")
    if totals["line"].equals(lines["line"]):
        return lines.hstack([totals["worked"]])
    return lines.join(totals, on="line", how="left", maintain_order="left")


def are_among(numbers: pl.Series, wanted: pl.Series) -> pl.Series:
    """Which numbers of lines or prices are wanted. They are looked up by place, in a third of the time of a join."""
    most = max((largest for one in (numbers, wanted) if isinstance(largest := one.max(), int)), default=0)
    is_wanted = pl.Series([False]).new_from_index(0, most + 1).scatter(wanted, values=True)
    return is_wanted.gather(numbers)


def in_turn(lines: pl.DataFrame, steps: Sequence[Step]) -> tuple[pl.DataFrame, pl.DataFrame]:
    """The lines after all steps, and what the steps tell, in their order."""
    told = [NO_STEPS]
    if lines.is_empty():
        return lines, NO_STEPS
    for step in steps:
        lines, rows = step(lines)
        if not rows.is_empty():
            told.append(completed(rows))
    return lines, pl.concat(told)


def charged(lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """The STEPS of all models, each line's in their order."""
    by_model = []
    for name, model, own in lines_by_model(lines, prices):
        terms, charge = prices.terms[name], model.charge
        if model.charge_small is not None and small(own, terms):
            charge = model.charge_small
        by_model.append(completed(charge(given_to(model.by, own, prices, detail), terms)))
    return pl.concat(by_model) if by_model else NO_STEPS


def lines_by_model(lines: pl.DataFrame, prices: ReadPrices) -> Iterator[tuple[str, Model, pl.DataFrame]]:
    """The lines of each model that has any."""
    charged_by = [name for name in MODELS if not prices.terms[name].is_empty()]
    # A filter for each of the models takes a quarter of the time that parting them all at once does.
    places = prices.models[lines["price_number"]]
    for name in charged_by:
        own = lines.filter(places == PLACES[name]) if len(charged_by) > 1 else lines
        if not own.is_empty():
            yield name, MODELS[name], own


def lines_of(lines: pl.DataFrame, price_numbers: pl.Series) -> pl.DataFrame:
    """LINES of the lines whose price could be read; the others have no number."""
    numbered = lines.select("line", price_numbers, "quantity", pl.lit(0, dtype=pl.Int64).alias("finer"))
    return numbered.drop_nulls("price_number") if price_numbers.null_count() else numbered


def given_to(by: str, lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """The lines as a model reads them: their quantities, their events in order, or their groups."""
    if by == "quantity":
        return lines
    if by == "event":
        return events_of(lines, prices, detail)
    groups = pl.DataFrame(schema=GROUP_LINES).drop("price_number") if detail.groups is None else detail.groups
    return lines.join(groups, on="line", how="left", maintain_order="left").select(list(GROUP_LINES))


def events_of(lines: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """EVENT_LINES; the whole quantity is one event where the price charges any events with that sum alike."""
    by_event = prices.detailed.filter(pl.col("kind") == "event")
    plain = lines.join(by_event, on="price_number", how="anti", maintain_order="left")
    whole = plain.select("line", "price_number", pl.lit(0, dtype=pl.Int64).alias("order"), value="quantity")
    single = lines.join(by_event, on="price_number", how="semi", maintain_order="left")
    events = pl.DataFrame(schema=EVENT_LINES).drop("price_number") if detail.events is None else detail.events
    found = single.join(events, on="line", how="left", maintain_order="left").select(list(EVENT_LINES))
    return pl.concat([whole, found])


def problems(known: pl.DataFrame, prices: ReadPrices, detail: Detail) -> pl.DataFrame:
    """Rows of (line, problem) for LINES that their model cannot charge."""
    found = [NO_PROBLEMS]
    for name, model in MODELS.items():
        terms = prices.terms[name]
        if model.problems is None or model.holding is None or terms.is_empty():
            continue
        own = known.filter(pl.col("price_number").is_in(model.holding(terms).implode()))
        if not own.is_empty():
            found.append(model.problems(given_to(model.by, own, prices, detail), terms))
    return pl.concat(found) if len(found) > 1 else NO_PROBLEMS


def totals_of(steps: pl.DataFrame) -> pl.DataFrame:
    """What the steps of each line add up to, as ``worked``, and how many they are, as ``length``; in order of lines.

    A sum that does not fit is null.
    """
    ordered = steps if steps["line"].flags["SORTED_ASC"] else steps.select("line", "amount").sort("line")
    if not adds_up(ordered["amount"]):
        return sums_by_line(ordered, ["amount"], pl.len().alias("length")).rename({"amount": "worked"})
    runs = ordered["line"].rle().struct
    line, length = runs.field("value").set_sorted(), runs.field("len")
    worked = sums_of_runs(ordered["amount"], length)
    return pl.DataFrame([line.alias("line"), worked.alias("worked"), length.alias("length")])


def replaced(totals: pl.DataFrame, adjusted: pl.DataFrame) -> pl.DataFrame:
    """The totals, with those of the adjusted lines, of which each has one, in their places."""
    places = totals["line"].search_sorted(adjusted["line"])
    return totals.with_columns(totals["worked"].clone().scatter(places, adjusted["worked"]))


def by_line(parts: list[pl.DataFrame]) -> pl.DataFrame:
    """Rows of STEPS together, sorted by line, each line's in the order of the parts."""
    return pl.concat(parts).sort("line", maintain_order=True)
