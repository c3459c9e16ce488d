"""Percentage: of the amount of each event a percentage, and perhaps a fixed fee.

    {"model": "percentage", "rate_percent": "2.9", "fixed_fee_per_event": "0.30", "per_event_min": "0.50",
     "per_event_max": "25", "free_events": "10", "free_amount": "500"}

    amount = sum over events that pay of clamp(paid part x rate_percent / 100 + fixed_fee, per_event_min, per_event_max)

The events come in the order of the log. The free quota ends with the event that uses up ``free_events`` or
``free_amount``, whichever is first. An event within it pays nothing at all; one that is partly within it pays on the
rest, fixed fee, minimum and maximum included. An amount below zero is a refund: its percentage is credited, no fee is
due for it, and it neither uses the quota nor gives it back.
"""

from __future__ import annotations

import polars as pl

from catalog.price import Definition
from catalog.prices.adjustments import hundredth
from core.frames import Schema
from rating.charge import AMOUNT, QUANTITY
from rating.exact import LIMB, ONE, UNITS, adds_up, plus, product, sums_by_line, units, whole
from rating.shapes import Model, Terms, number

PERCENTAGE_TERMS: Schema = {
    "price_number": pl.UInt32(),
    "rate": QUANTITY,
    "fixed_fee": QUANTITY,
    "event_min": QUANTITY,
    "event_max": QUANTITY,
    "free_events": QUANTITY,
    "free_amount": QUANTITY,
    "by_event": pl.Boolean(),
}
PER_EVENT = ("fixed_fee_per_event", "per_event_min", "per_event_max", "free_events", "free_amount")
SUMS = ("free", "paid", "percentage", "raised", "lowered")


def read(definition: Definition) -> Terms:
    """One row; what is null is not there."""
    return [
        {
            "rate": hundredth(definition["rate_percent"]),
            "fixed_fee": number(definition.get("fixed_fee_per_event", "0")),
            "event_min": number(definition.get("per_event_min")),
            "event_max": number(definition.get("per_event_max")),
            "free_events": number(definition.get("free_events")),
            "free_amount": number(definition.get("free_amount")),
            "by_event": any(name in definition for name in PER_EVENT),
        }
    ]


def charge(events: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """A step for each line that is charged as a whole, and those of the lines that are charged event by event."""
    together = events.join(terms.filter(~pl.col("by_event")), on="price_number", maintain_order="left")
    return pl.concat([charge_whole(together), charge_events(events, terms.filter("by_event"))])


def charge_whole(lines: pl.DataFrame) -> pl.DataFrame:
    """The percentage of the quantity, which each line has as its only event."""
    sums = lines.with_columns(paid=units(pl.col("value").fill_null(pl.lit(0, dtype=QUANTITY))), fixed=whole(0))
    return paid_step(sums.with_columns(percentage=product(pl.col("paid"), units(pl.col("rate")))))


def charge_events(events: pl.DataFrame, terms: pl.DataFrame) -> pl.DataFrame:
    """What was free, what paid, and what minimum and maximum of the events added and took away."""
    priced = fees(free_parts(in_order(events.join(terms, on="price_number", maintain_order="left"))))
    first = ("event_min", "event_max", "free_events", "free_amount", "rate", "fixed_fee")
    sums = sums_by_line(priced, SUMS, pl.sum("pays"), pl.first(*first)).with_columns(
        fixed=product(pl.col("pays").cast(UNITS) * whole(ONE), units(pl.col("fixed_fee")))
    )
    quota = pl.col("free_events").is_not_null() | pl.col("free_amount").is_not_null()
    return pl.concat(
        [
            step(sums.filter(quota), "free", quantity="free", amount=pl.col("free") * 0),
            paid_step(sums),
            step(sums.filter(pl.col("event_min").is_not_null()), "per_event_min", flat="event_min", amount="raised"),
            step(sums.filter(pl.col("event_max").is_not_null()), "per_event_max", flat="event_max", amount="lowered"),
        ]
    )


def in_order(events: pl.DataFrame) -> pl.DataFrame:
    """Add ``value`` in units, ``usage`` without refunds, whether it is ``counted`` (a refund is not), and sums.

    ``usage_sum`` and ``counted_sum`` are those up to and with each event.
    The running sum is null for a line whose events do not add up within bounds, so that it cannot wrap.
    """
    value = units(pl.col("value"))
    counted = (value >= 0).fill_null(value=False)
    used = events.with_columns(value=value.fill_null(whole(0)), counted=counted).with_columns(
        usage=pl.max_horizontal("value", whole(0))
    )
    if adds_up(used["usage"]):
        return used.with_columns(running_sums(used["line"], used.select("usage", pl.col("counted").cast(pl.UInt32))))
    high = (pl.col("usage") // whole(LIMB)).sum().over("line")
    used = used.with_columns(usage=pl.when(high < whole(LIMB - 10**9)).then(pl.col("usage")))
    return used.with_columns(pl.col("usage", "counted").cum_sum().over("line").name.suffix("_sum"))


def running_sums(line: pl.Series, numbers: pl.DataFrame) -> list[pl.Series]:
    """The sums up to and with each row of its line, whose rows lie together; of columns that add up.

    A window takes four times as long.
    """
    lengths, run = line.rle().struct.field("len"), line.rle_id()
    first = lengths.cum_sum() - lengths
    sums = []
    for column in numbers:
        total = column.cum_sum()
        before = total.gather(first) - column.gather(first)
        sums.append((total - before.gather(run)).alias(f"{column.name}_sum"))
    return sums


def free_parts(events: pl.DataFrame) -> pl.DataFrame:
    """Add ``free``, the part of each event within the quota, and ``pays``: whether the event owes a fee."""
    counted = pl.col("counted")
    before = pl.col("usage_sum") - pl.col("usage")
    events_left = (pl.col("counted_sum").cast(UNITS) * whole(ONE)) <= units(pl.col("free_events"))
    amount_left = units(pl.col("free_amount")) - before
    quota = pl.col("free_events").is_not_null() | pl.col("free_amount").is_not_null()
    is_open = quota & counted & events_left.fill_null(value=True) & (amount_left > 0).fill_null(value=True)
    within = pl.when(pl.col("free_amount").is_null() | (pl.col("usage") <= amount_left)).then("usage")
    free = pl.when(is_open).then(within.otherwise(amount_left)).otherwise(whole(0))
    return (
        events.with_columns(is_open=is_open, free=free)
        .with_columns(paid=pl.col("value") - pl.col("free"))
        .with_columns(pays=counted & ~(pl.col("is_open") & (pl.col("paid") == 0)))
    )


def fees(events: pl.DataFrame) -> pl.DataFrame:
    """Add ``percentage``, and what minimum and maximum change of each event's fee: ``raised`` and ``lowered``."""
    least, most = (product(units(pl.col(name)), whole(ONE)) for name in ("event_min", "event_max"))
    raised = pl.when(pl.col("pays") & (pl.col("fee") < least)).then(least - pl.col("fee")).otherwise(whole(0))
    lowered = pl.when(pl.col("pays") & (pl.col("fee") > most)).then(most - pl.col("fee")).otherwise(whole(0))
    fixed = product(units(pl.col("fixed_fee")), whole(ONE))
    return (
        events.with_columns(percentage=product(pl.col("paid"), units(pl.col("rate"))))
        .with_columns(fee=plus(pl.col("percentage"), fixed))
        .with_columns(raised=raised, lowered=lowered)
    )


def paid_step(sums: pl.DataFrame) -> pl.DataFrame:
    """The percentage of all that was paid on, with the fixed fees."""
    fees_total = pl.col("fixed").reinterpret(dtype=AMOUNT).cast(QUANTITY)
    return sums.select(
        "line",
        pl.lit(1, dtype=pl.UInt32).alias("tier"),
        pl.lit(0, dtype=QUANTITY).alias("from"),
        quantity=pl.col("paid").reinterpret(dtype=QUANTITY),
        unit_price=pl.col("rate"),
        flat_price=fees_total,
        label=pl.lit(None, dtype=pl.String),
        amount=plus(pl.col("percentage"), pl.col("fixed")),
    )


def step(
    sums: pl.DataFrame, label: str, *, amount: str | pl.Expr, quantity: str | None = None, flat: str | None = None
) -> pl.DataFrame:
    """A step beside the paid one."""
    nothing = pl.lit(0, dtype=QUANTITY)
    return sums.select(
        "line",
        pl.lit(0, dtype=pl.UInt32).alias("tier"),
        pl.lit(None, dtype=QUANTITY).alias("from"),
        quantity=pl.col(quantity).reinterpret(dtype=QUANTITY) if quantity else nothing,
        unit_price=nothing,
        flat_price=pl.col(flat) if flat else nothing,
        label=pl.lit(label),
        amount=pl.col(amount) if isinstance(amount, str) else amount,
    )


PERCENTAGE = Model(name="percentage", terms=PERCENTAGE_TERMS, read=read, charge=charge, by="event")
