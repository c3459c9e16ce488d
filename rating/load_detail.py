"""Loads what single quantities do not say: events in order of time, usage by group and usage by bucket, as of a freeze.

Groups and buckets come from the windows, as quantities do. Where the quantity was counted from the events, because
something was stored more than once, they are too; single events always are.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property, partial
from typing import Final

import polars as pl
from sqlalchemy import Connection, Engine, select

from catalog.tables import customers
from catalog.version import holds_at
from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.finer_usage import Part, by_bucket, by_group, event_values, exact_usage_by_part, usage_by_part
from clickhouse.recompute import Rule
from core.db import transaction
from core.errors import Refused
from core.frames import Schema
from core.period import Period, cut_period
from rating.charge import INSTANT, QUANTITY
from rating.detail import LINE, USAGE_BUCKETS, USAGE_EVENTS, USAGE_GROUPS, Detail
from rating.exact import group_sum, group_total, units
from rating.freeze import Freeze
from rating.load_usage import SCOPE, TOO_LARGE
from rating.meter_rules import load_rules
from rating.models.matrix import group_text
from rating.terms import detail_of, read_price

Ask = Callable[[pl.DataFrame], pl.DataFrame]

OVERFLOW: Final = "a part of the quantity does not fit 26 digits before the point; nothing was cut"
UNLIKE: Final = "its events do not add up to the quantity of its windows; see millrace audit"
# What adds events up, so that the sum of their values must be the quantity.
ADDED_UP: Final = ("sum", "count")


@dataclass(frozen=True)
class Source:
    """Where detail comes from, as of a freeze. ``problems`` are rows of (subscription_id, price_id, problem)."""

    books: Engine
    store: UsageStore
    prices: pl.DataFrame
    freeze: Freeze

    @cached_property
    def problems(self) -> list[pl.DataFrame]:
        """What keeps lines from being charged, as it is found."""
        return []

    @cached_property
    def rules(self) -> dict[str, tuple[Rule, ...]]:
        """How the meters that are due count, by id."""
        meter_ids = self.prices["meter_id"].unique().to_list()
        with transaction(self.books) as connection:
            return load_rules(connection, meter_ids, self.freeze.catalog_version, self.freeze.cutoff)

    def alike(self, scopes: pl.DataFrame) -> Iterator[tuple[tuple[Rule, ...], pl.DataFrame]]:
        """Scopes whose meters count alike, together."""
        found: dict[tuple[Rule, ...], list[str]] = defaultdict(list)
        for meter_id in scopes["meter_id"].unique().sort():
            found[self.rules[meter_id]].append(meter_id)
        for rules, meter_ids in found.items():
            yield rules, scopes.filter(pl.col("meter_id").is_in(meter_ids))

    def by_part(self, scopes: pl.DataFrame, part: Part) -> pl.DataFrame:
        """Quantities by part, each scope's from where its quantity is from."""
        cutoff = self.freeze.cutoff
        windows, exact = scopes.filter(~pl.col("is_exact")), scopes.filter("is_exact")
        parts = [self.fitting(windows.select(SCOPE), lambda some: usage_by_part(self.store, some, part, cutoff))]
        for rules, some in self.alike(exact):
            ask = partial(exact_of, self.store, rules, part, cutoff)
            parts.append(self.fitting(some.select(SCOPE), ask))
        names: Schema = dict.fromkeys(LINE, pl.String())
        nothing = pl.DataFrame(schema={**names, "part": part.kind, "quantity": QUANTITY})
        return pl.concat([nothing, *(found.select(nothing.columns) for found in parts if not found.is_empty())])

    def fitting(self, scopes: pl.DataFrame, ask: Ask) -> pl.DataFrame:
        """The answer for all scopes but those that overflow, which are found by halving and become problems."""
        if scopes.is_empty():
            return scopes
        try:
            return ask(scopes)
        except UsageStoreError as error:
            if error.name != TOO_LARGE:
                raise
        if scopes.height == 1:
            self.problems.append(scopes.select(*LINE, problem=pl.lit(OVERFLOW)))
            return scopes.clear()
        half = scopes.height // 2
        parts = [self.fitting(part, ask) for part in (scopes[:half], scopes[half:])]
        return pl.concat([part for part in parts if not part.is_empty()] or parts[:1])


def exact_of(
    store: UsageStore, rules: tuple[Rule, ...], part: Part, cutoff: datetime, scopes: pl.DataFrame
) -> pl.DataFrame:
    """Quantities by part from the events."""
    return exact_usage_by_part(store, scopes, rules, part, cutoff)


def load_detail(
    books: Engine, store: UsageStore, usage: pl.DataFrame, prices: pl.DataFrame, freeze: Freeze
) -> tuple[Detail, pl.DataFrame]:
    """The detail of DUE_PRICES that charge by it, and USAGE with the problems that it brought up.

    Raises ``Transient`` when a store does not answer.
    """
    kinds = kinds_of(prices)
    if kinds.is_empty():
        return Detail(of_period=True), usage
    known = usage.filter(pl.col("problem").is_null())
    told = known.select(*LINE, used="quantity", is_exact=pl.col("corrected_from").is_not_null())
    scopes = prices.join(kinds, on=["price_id", "currency"], maintain_order="left").join(told, on=LINE)
    if scopes.is_empty():
        return Detail(of_period=True), usage
    source = Source(books, store, prices, freeze)
    detail = Detail(
        load_events(source, scopes.filter(pl.col("kind") == "event")),
        load_groups(source, scopes.filter(pl.col("kind") == "group")),
        load_buckets(source, scopes.filter(pl.col("kind") == "bucket")),
        of_period=True,
    )
    if not source.problems:
        return detail, usage
    found = pl.concat(source.problems).unique(LINE, maintain_order=True).rename({"problem": "found"})
    joined = usage.join(found, on=LINE, how="left", maintain_order="left")
    return detail, joined.with_columns(problem=pl.coalesce("problem", "found")).select(usage.columns)


def kinds_of(prices: pl.DataFrame) -> pl.DataFrame:
    """What the prices charge by that do not charge by a quantity, and by which ``keys`` or unit."""
    rows = []
    distinct = prices.select("price_id", "currency", "model", "definition").unique(["price_id", "currency"])
    for price_id, currency, model, text in distinct.iter_rows():
        # Most prices say nothing of the kind, and need not be read a second time.
        if model not in ("percentage", "matrix") and '"bucket"' not in text:
            continue
        try:
            definition = read_price(model, text, currency)
        except Refused:
            continue
        kind = detail_of(definition)
        if kind is not None:
            keys = {"group": definition.get("group_by"), "bucket": [definition.get("bucket")]}.get(kind)
            rows.append((price_id, currency, kind, keys))
    schema = {"price_id": pl.String(), "currency": pl.String(), "kind": pl.String(), "keys": pl.List(pl.String())}
    return pl.DataFrame(rows, schema=schema, orient="row")


def load_events(source: Source, scopes: pl.DataFrame) -> pl.DataFrame:
    """USAGE_EVENTS, numbered in order of time; lines whose events do not add up to their quantity become problems."""
    parts = [pl.DataFrame(schema=USAGE_EVENTS)]
    for rules, some in source.alike(scopes):
        found = event_values(source.store, some.select(SCOPE), rules, source.freeze.cutoff)
        parts.append(found.with_columns(order=pl.int_range(pl.len()).over(LINE)).select(list(USAGE_EVENTS)))
    events = pl.concat(parts)
    sums = events.with_columns(sum=units(pl.col("value"))).group_by(LINE).agg(*group_sum("sum"))
    held = scopes.filter(pl.col("aggregation").is_in(ADDED_UP)).join(
        sums.select(*LINE, total=group_total("sum")), on=LINE, how="left", maintain_order="left"
    )
    # No events are no sum, and add up to nothing.
    unlike = held.filter(units(pl.col("used")) != pl.col("total").fill_null(0))
    if not unlike.is_empty():
        source.problems.append(unlike.select(*LINE, problem=pl.lit(UNLIKE)))
    return events


def load_groups(source: Source, scopes: pl.DataFrame) -> pl.DataFrame:
    """USAGE_GROUPS; prices with the same keys are asked about together."""
    parts = [pl.DataFrame(schema=USAGE_GROUPS)]
    for (keys,), some in scopes.group_by("keys", maintain_order=True):
        names = list(keys)
        found = source.by_part(some, by_group(names))
        texts = [group_text(names, dict(zip(names, values, strict=True))) for values in found["part"]]
        parts.append(found.select(*LINE, pl.Series("group", texts, pl.String()), value="quantity"))
    return pl.concat(parts)


def load_buckets(source: Source, scopes: pl.DataFrame) -> pl.DataFrame:
    """USAGE_BUCKETS of whole periods, by the clocks of each customer; those without usage as one row a line."""
    if scopes.is_empty():
        return pl.DataFrame(schema=USAGE_BUCKETS)
    with transaction(source.books) as connection:
        zones = load_zones(connection, scopes["customer_id"].unique().to_list(), source.freeze.catalog_version)
    parts = [pl.DataFrame(schema=USAGE_BUCKETS)]
    zoned = scopes.join(zones, on="customer_id", maintain_order="left").with_columns(unit=pl.col("keys").list.first())
    for _, some in zoned.group_by("unit", "zone", "period_start", "period_end", maintain_order=True):
        first = some.row(0, named=True)
        starts = cut_period(Period(first["period_start"], first["period_end"]), first["unit"], first["zone"])
        found = source.by_part(some, by_bucket(starts)).select(
            *LINE,
            bucket=pl.from_epoch("part", "s").cast(pl.Datetime("us")).dt.replace_time_zone("UTC"),
            buckets=pl.lit(1, dtype=pl.Int64),
            value="quantity",
        )
        counted = found.group_by(LINE).agg(used_buckets=pl.len().cast(pl.Int64))
        empty = some.join(counted, on=LINE, how="left", maintain_order="left").select(
            *LINE,
            bucket=pl.lit(None, dtype=INSTANT),
            buckets=len(starts) - pl.col("used_buckets").fill_null(0),
            value=pl.lit(0, dtype=QUANTITY),
        )
        parts += [found, empty.filter(pl.col("buckets") > 0)]
    return pl.concat(parts)


def load_zones(connection: Connection, customer_ids: list[str], version: int) -> pl.DataFrame:
    """The zone of each customer as of a catalog version."""
    columns = customers.c
    rows = connection.execute(
        select(columns.customer_id, columns.zone).where(
            columns.customer_id.in_(customer_ids), holds_at(customers, version)
        )
    )
    schema = {"customer_id": pl.String(), "zone": pl.String()}
    return pl.DataFrame([tuple(row) for row in rows], schema=schema, orient="row")
