"""Quantities that are worked out when a period is closed: what ``billed`` of a meter says, in place of its usage.

They are a function of what was stored until the cut-off, as usage is: late events and corrections change them, and a
close that is done again finds the same. Where something was stored more than once they are counted from the events,
each once, those before the period as well.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Final

import polars as pl
from sqlalchemy import Connection, Engine, select

from catalog.tables import meters
from catalog.version import holds_at
from clickhouse.client import UsageStore
from clickhouse.derived import Told, derived_usage
from clickhouse.recompute import Rule
from core.db import transaction
from core.derivation import derivation_of
from core.frames import checked
from core.period import Period, cut_period
from rating.charge import QUANTITY
from rating.freeze import Freeze
from rating.inputs import USAGE
from rating.load_detail import load_zones
from rating.load_usage import SCOPE, measured_or_too_large
from rating.meter_rules import load_rules

LINE: Final = ("subscription_id", "price_id")
ALIKE: Final = ("aggregation", "zone", "bucket_start", "bucket_end")
FOUND: Final = {**dict.fromkeys(LINE, pl.String()), "quantity": QUANTITY, "problem": pl.String()}


def derive(books: Engine, store: UsageStore, usage: pl.DataFrame, prices: pl.DataFrame, freeze: Freeze) -> pl.DataFrame:
    """USAGE of DUE_PRICES after ``recount``, with the quantities of meters that derive them in place of their usage.

    Raises ``Transient`` when a store does not answer.
    """
    scopes = prices.filter(is_derived()).select(SCOPE)
    if scopes.is_empty():
        return usage
    told = usage.select(*LINE, is_exact=pl.col("corrected_from").is_not_null())
    exact = scopes.join(told.filter("is_exact"), on=LINE, how="semi", maintain_order="left")
    with transaction(books) as connection:
        ways = load_ways(connection, scopes, freeze)
    plain = measure(store, scopes, ways, freeze.cutoff, anew=False)
    return replaced(usage, plain, measure(store, exact, ways, freeze.cutoff, anew=True))


def is_derived() -> pl.Expr:
    """Whether a line's quantity is derived."""
    return pl.col("aggregation").str.contains(" ", literal=True)


@dataclass(frozen=True, slots=True, eq=False)
class Ways:
    """How meters count, and what they group by, by their ids; and the zones of customers."""

    rules: Mapping[str, tuple[Rule, ...]]
    groups: Mapping[str, tuple[str, ...]]
    zones: pl.DataFrame


def load_ways(connection: Connection, scopes: pl.DataFrame, freeze: Freeze) -> Ways:
    """What must be known of scopes to derive their quantities, as of a freeze."""
    meter_ids = scopes["meter_id"].unique().to_list()
    return Ways(
        load_rules(connection, meter_ids, freeze.catalog_version, freeze.cutoff),
        load_groups(connection, meter_ids, freeze.catalog_version),
        load_zones(connection, scopes["customer_id"].unique().to_list(), freeze.catalog_version),
    )


def measure(store: UsageStore, scopes: pl.DataFrame, ways: Ways, cutoff: datetime, *, anew: bool) -> pl.DataFrame:
    """FOUND of scopes, from the events alone if ``anew``; those that are derived alike are asked for together."""
    parts = [pl.DataFrame(schema=FOUND)]
    for rules, told, some in alike(scopes, ways):
        ask = partial(asked, store, rules=rules, told=told, cutoff=cutoff, anew=anew)
        parts.append(measured_or_too_large(some.select(SCOPE), ask).select(list(FOUND)))
    return pl.concat(parts)


def asked(
    store: UsageStore, scopes: pl.DataFrame, *, rules: tuple[Rule, ...], told: Told, cutoff: datetime, anew: bool
) -> pl.DataFrame:
    """One question; how many events and windows there were is known already."""
    found = derived_usage(store, scopes, rules, told, cutoff, anew=anew)
    return found.with_columns(events=pl.lit(0, dtype=pl.UInt64), windows=pl.lit(0, dtype=pl.UInt64))


def alike(scopes: pl.DataFrame, ways: Ways) -> Iterator[tuple[tuple[Rule, ...], Told, pl.DataFrame]]:
    """Scopes whose quantity is derived in the same way, from what is counted in the same way.

    The clocks of a customer and the bounds of a period matter where there are hours or days to cut.
    """
    by_clock = pl.col("aggregation").str.contains(" bucket:(hour|day):")
    by_meter = {meter_id: (ways.rules[meter_id], ways.groups[meter_id]) for meter_id in scopes["meter_id"].unique()}
    distinct = sorted(set(by_meter.values()), key=repr)
    way = {meter_id: distinct.index(told) for meter_id, told in by_meter.items()}
    numbered = scopes.join(ways.zones, on="customer_id", how="left", maintain_order="left").with_columns(
        pl.col("meter_id").replace_strict(way, return_dtype=pl.Int64).alias("way"),
        pl.when(by_clock).then("zone").alias("zone"),
        pl.when(by_clock).then("period_start").alias("bucket_start"),
        pl.when(by_clock).then("period_end").alias("bucket_end"),
    )
    for key, some in numbered.group_by("way", *ALIKE, maintain_order=True):
        number, aggregation, zone, start, end = key
        assert isinstance(number, int)
        derivation = derivation_of(str(aggregation))
        assert derivation is not None, "filtered by the caller"
        starts: tuple[datetime, ...] = ()
        if isinstance(start, datetime) and isinstance(end, datetime):
            starts = cut_period(Period(start, end), derivation.by, str(zone))
        rules, group_by = distinct[number]
        yield rules, Told(derivation, str(aggregation).split(" ")[0], group_by, starts), some


def load_groups(connection: Connection, meter_ids: list[str], version: int) -> dict[str, tuple[str, ...]]:
    """What each meter groups by, as of a catalog version."""
    rows = connection.execute(
        select(meters.c.meter_id, meters.c.group_by).where(meters.c.meter_id.in_(meter_ids), holds_at(meters, version))
    )
    return {meter_id: tuple(group_by) for meter_id, group_by in rows}


def replaced(usage: pl.DataFrame, plain: pl.DataFrame, anew: pl.DataFrame) -> pl.DataFrame:
    """USAGE with derived quantities; ``corrected_from`` is what they would be without counting anew."""
    joined = usage.join(
        plain.select(*LINE, plainly="quantity", wrong="problem", derived=pl.lit(value=True)),
        on=LINE, how="left", maintain_order="left",
    ).join(
        anew.select(*LINE, exactly="quantity", wrong_anew="problem", again=pl.lit(value=True)),
        on=LINE, how="left", maintain_order="left",
    )  # fmt: skip
    derived, again = pl.col("derived").is_not_null(), pl.col("again").is_not_null()
    return checked(
        joined.with_columns(
            quantity=pl.when(again).then("exactly").when(derived).then("plainly").otherwise("quantity"),
            corrected_from=pl.when(again).then("plainly").when(~derived).then("corrected_from"),
            # The usage that it is derived from may not fit where the quantity does.
            problem=pl.when(again).then("wrong_anew").when(derived).then("wrong").otherwise("problem"),
        ),
        USAGE,
    )
