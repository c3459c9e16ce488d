"""Holds frozen usage against the stored events: what was stored more than once is counted anew, each event once.

The stream's dedupe is the optimisation; this is the guarantee. In a month without doubles, which is to say always, it
costs a pass over the keys and leaves every quantity as it is.
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import replace
from datetime import datetime

import polars as pl
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from clickhouse.derived import LONG_AGO
from clickhouse.exact import Doubles, Span, exact_usage, find_doubles
from clickhouse.late import LASTING
from clickhouse.recompute import Rule
from core.db import transaction
from core.frames import checked
from core.logs import get_logger
from rating.freeze import Freeze
from rating.inputs import USAGE
from rating.load_usage import SCOPE, measured_or_too_large
from rating.meter_rules import load_rules

LINE = ("subscription_id", "price_id")
OWNER = ("merchant_id", "customer_id", "meter_id")


def recount(
    books: Engine, store: UsageStore, usage: pl.DataFrame, prices: pl.DataFrame, freeze: Freeze
) -> pl.DataFrame:
    """USAGE of DUE_PRICES in which nothing counts twice; ``corrected_from`` says which rows were counted anew.

    Raises ``Transient`` when a store does not answer.
    """
    looked = [(prices, find_doubles(store, span_of(prices, freeze.cutoff)))]
    # What happened before a period counts where values last, so that copies are looked for since the first event.
    lasting = prices.filter(pl.col("aggregation").str.contains(LASTING))
    if not lasting.is_empty():
        ever = replace(span_of(lasting, freeze.cutoff), start=LONG_AGO)
        looked.append((lasting, find_doubles(store, ever)))
    if all(doubles.none for _, doubles in looked):
        return usage
    rules = rules_of(books, prices, freeze)
    affected = pl.concat([affected_scopes(some, doubles, rules) for some, doubles in looked]).unique(
        LINE, maintain_order=True
    )
    exact = count_exactly(store, affected, rules, freeze.cutoff)
    corrected = with_corrections(usage, exact)
    get_logger("rating").warning(
        "usage was stored more than once: each event is billed once",
        extra_copies=max(int(doubles.events["copies"].sum()) for _, doubles in looked),
        extra_windows=max(int(doubles.windows["copies"].sum()) for _, doubles in looked),
        lines_counted_anew=affected.height,
        lines_changed=corrected.filter(pl.col("corrected_from") != pl.col("quantity")).height,
    )
    return corrected


def span_of(prices: pl.DataFrame, cutoff: datetime) -> Span:
    """The periods that are due, together."""
    start, end = prices["period_start"].min(), prices["period_end"].max()
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    return Span(start, end, cutoff, prices["merchant_id"].unique().sort().to_list())


def rules_of(books: Engine, prices: pl.DataFrame, freeze: Freeze) -> dict[str, tuple[Rule, ...]]:
    """How the meters that are due count, by id."""
    with transaction(books) as connection:
        return load_rules(connection, prices["meter_id"].unique().to_list(), freeze.catalog_version, freeze.cutoff)


def affected_scopes(prices: pl.DataFrame, doubles: Doubles, rules: dict[str, tuple[Rule, ...]]) -> pl.DataFrame:
    """The scopes of prices whose customer has something twice that their meter counts."""
    types = pl.DataFrame(
        [(meter_id, rule.event_type) for meter_id, held in rules.items() for rule in held],
        schema={"meter_id": pl.String(), "type": pl.String()},
        orient="row",
    ).unique()
    by_events = doubles.events.join(types, on="type").select(OWNER)
    owners = pl.concat([by_events, doubles.windows.select(OWNER)]).unique()
    return prices.select(SCOPE).join(owners, on=OWNER, how="semi", maintain_order="left")


def count_exactly(
    store: UsageStore, scopes: pl.DataFrame, rules: dict[str, tuple[Rule, ...]], cutoff: datetime
) -> pl.DataFrame:
    """Quantity, events and problem of each scope, from the events; meters that count alike are asked for together."""
    alike: dict[tuple[Rule, ...], list[str]] = defaultdict(list)
    for meter_id in scopes["meter_id"].unique().sort():
        alike[rules[meter_id]].append(meter_id)
    parts = [
        measured_or_too_large(
            scopes.filter(pl.col("meter_id").is_in(meter_ids)),
            lambda some, held=held: exact_of(store, some, held, cutoff),  # type: ignore[misc]
        )
        for held, meter_ids in alike.items()
    ]
    return pl.concat(parts) if parts else pl.DataFrame(schema=USAGE)


def exact_of(store: UsageStore, scopes: pl.DataFrame, rules: tuple[Rule, ...], cutoff: datetime) -> pl.DataFrame:
    """One question, its answer in the columns of USAGE that it can fill."""
    found = exact_usage(store, scopes, rules, cutoff)
    return found.with_columns(
        quantity=pl.col("exact_quantity"), events=pl.col("exact_events"), windows=pl.lit(0, dtype=pl.UInt64)
    )


def with_corrections(usage: pl.DataFrame, exact: pl.DataFrame) -> pl.DataFrame:
    """USAGE with the exact quantities in the places of the others, which stay as ``corrected_from``."""
    anew = exact.select(*LINE, "quantity", "events", "problem", anew=pl.lit(value=True))
    joined = usage.join(anew, on=LINE, how="left", suffix="_anew", maintain_order="left")
    found = pl.col("anew").is_not_null()
    chosen = {
        name: pl.when(found).then(pl.col(f"{name}_anew")).otherwise(pl.col(name))
        for name in ("quantity", "events", "problem")
    }
    before = pl.when(found).then(pl.col("quantity"))
    return checked(joined.with_columns(**chosen, corrected_from=before), USAGE)
