"""Finds what periods that were billed have come to since, for the invoices that a close is about to write.

    1. runs     the earlier closes whose periods are near enough, of merchants that want the difference billed
    2. owners   whose windows of those periods were added to after their cut-off: one question a cut-off
    3. billed   their lines with the last adjustment of each, and whether anything was stored after that
    4. rate     each whole period again, at the new cut-off and the old price; the difference to what was billed

A month in which nothing came late ends after 2, which reads no row of Postgres but those of the runs.
"""

from __future__ import annotations

from datetime import datetime
from typing import Final

import polars as pl
from sqlalchemy import Connection, Engine, text

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from clickhouse.late import late_owners, late_usage
from core.db import transaction
from core.frames import Schema, checked
from core.period import add_months, parse_month
from rating.adjustment import ADJUSTMENTS, FOUND_ADJUSTMENTS
from rating.billed import BILLED, OWNER_PERIODS, load_billed
from rating.charge import AMOUNT, QUANTITY, TIERS
from rating.derive import derive
from rating.due import TARGETS
from rating.engine import OVERFLOW, rate
from rating.exact import minus, units
from rating.freeze import Freeze
from rating.inputs import DUE_PRICES
from rating.load_detail import load_detail
from rating.load_usage import load_usage
from rating.record import instant
from rating.recount import recount

RUNS = """
    SELECT merchant_id, period, (extract(epoch FROM usage_from) * 1000000)::bigint,
        (extract(epoch FROM usage_until) * 1000000)::bigint, (extract(epoch FROM cutoff) * 1000000)::bigint
    FROM rating_runs
    WHERE state = 'recorded' AND usage_from IS NOT NULL AND period >= %(oldest)s AND period < %(period)s
"""
# Meters whose values last beyond a period, now or once.
LASTING_METERS = text("SELECT DISTINCT meter_id FROM meters WHERE billed ~ '^(held|carried):'")
RUN_INSTANTS: Final = ("usage_from", "usage_until", "cutoff")
RUNS_READ_AS: Final[Schema] = {
    "merchant_id": pl.String(),
    "period": pl.String(),
    **dict.fromkeys(RUN_INSTANTS, pl.Int64()),
}
LINE: Final = ("subscription_id", "price_id")
BILLED_ONLY: Final = [name for name in BILLED if name not in DUE_PRICES]


def find_adjustments(
    books: Engine, store: UsageStore, period: str, freeze: Freeze, targets: pl.DataFrame
) -> pl.DataFrame:
    """FOUND_ADJUSTMENTS for the subscriptions of TARGETS, of periods that were billed before theirs.

    Lines that came to the same as before are left out. Writes nothing. Raises ``Transient`` when a store does not
    answer.
    """
    wanted = checked(targets, TARGETS).filter((pl.col("policy") == "next_invoice") & (pl.col("months_back") > 0))
    nothing = pl.DataFrame(schema=FOUND_ADJUSTMENTS)
    if wanted.is_empty():
        return nothing
    with transaction(books) as connection:
        runs = load_runs(connection, period, freeze, wanted)
        lasting = list(connection.execute(LASTING_METERS).scalars()) if runs.height else []
    owners = owners_of_late(store, runs, lasting)
    if owners.is_empty():
        return nothing
    with transaction(books) as connection:
        billed = load_billed(connection, owners)
    places = wanted.select("subscription_id", to_start="period_start", to_end="period_end")
    earlier = billed.join(places, on="subscription_id", maintain_order="left").filter(
        (pl.col("period_start") < pl.col("to_start")) & (pl.col("billed_cutoff") < freeze.cutoff)
    )
    changed = [
        late_usage(store, some, cutoff).select(earlier.columns)
        for (cutoff,), some in earlier.group_by("billed_cutoff", maintain_order=True)
        if isinstance(cutoff, datetime)
    ]
    if not changed:
        return nothing
    again = pl.concat(changed).group_by("for_period", maintain_order=True)
    return pl.concat([nothing, *(differences(books, store, freeze, some) for _, some in again)])


def load_runs(connection: Connection, period: str, freeze: Freeze, wanted: pl.DataFrame) -> pl.DataFrame:
    """The closes whose periods may be adjusted, with the span and the cut-off of each."""
    month = parse_month(period)
    oldest = {back: f"{add_months(month, -back):%Y-%m}" for back in wanted["months_back"].unique()}
    reach = wanted.select("merchant_id", oldest=pl.col("months_back").replace_strict(oldest, return_dtype=pl.String))
    values = {"period": period, "oldest": min(oldest.values())}
    return (
        read_frame(connection, RUNS, values, RUNS_READ_AS)
        .with_columns(pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in RUN_INSTANTS)
        .join(reach.unique("merchant_id"), on="merchant_id")
        .filter((pl.col("period") >= pl.col("oldest")) & (pl.col("cutoff") < freeze.cutoff))
        .sort("cutoff", "period", "merchant_id")
    )


def owners_of_late(store: UsageStore, runs: pl.DataFrame, lasting: list[str]) -> pl.DataFrame:
    """OWNER_PERIODS whose windows were added to after the cut-off of the runs that billed them.

    Of ``lasting`` meters (by id) windows of the time before as well.
    """
    parts = [pl.DataFrame(schema=OWNER_PERIODS)]
    for (cutoff, _), some in runs.group_by("cutoff", "period", maintain_order=True):
        start, end = some["usage_from"].min(), some["usage_until"].max()
        assert isinstance(start, datetime)
        assert isinstance(end, datetime)
        assert isinstance(cutoff, datetime)
        merchants = some["merchant_id"].unique().to_list()
        late = late_owners(store, start=start, end=end, cutoff=cutoff, merchant_ids=merchants, lasting=lasting)
        parts.append(late.join(some, on="merchant_id").select(list(OWNER_PERIODS)))
    return pl.concat(parts).unique(maintain_order=True)


def differences(books: Engine, store: UsageStore, freeze: Freeze, billed: pl.DataFrame) -> pl.DataFrame:
    """BILLED lines of periods of one name as FOUND_ADJUSTMENTS; those that come to the same are left out."""
    prices = checked(billed, DUE_PRICES)
    usage = recount(books, store, load_usage(store, prices, freeze.cutoff), prices, freeze)
    usage = derive(books, store, usage, prices, freeze)
    detail, usage = load_detail(books, store, usage, prices, freeze)
    rated = rate(usage, prices, detail).rename({"quantity": "new_quantity", "amount": "new_amount"})
    before = billed.select(*LINE, *BILLED_ONLY, "to_start", "to_end")
    found = (
        rated.rename({"period_start": "for_start", "period_end": "for_end"})
        .join(before, on=LINE, maintain_order="left", validate="1:1")
        .rename({"to_start": "period_start", "to_end": "period_end"})
        .with_columns(
            sequence=pl.col("sequence") + 1,
            quantity=minus(units(pl.col("new_quantity")), units(pl.col("old_quantity"))).reinterpret(dtype=QUANTITY),
            amount=minus(units(pl.col("new_amount")), units(pl.col("old_amount"))).reinterpret(dtype=AMOUNT),
        )
    )
    lost = pl.col("amount").is_null() | pl.col("quantity").is_null()
    parked = found.with_columns(
        parked_reason=pl.coalesce("parked_reason", pl.when(lost).then(pl.lit(OVERFLOW))),
        tiers=pl.when(lost).then(pl.lit([], dtype=TIERS)).otherwise("tiers"),
    )
    moved = (pl.col("quantity") != 0) | (pl.col("amount") != 0) | pl.col("parked_reason").is_not_null()
    return checked(parked.filter(moved), FOUND_ADJUSTMENTS)


def posted(found: pl.DataFrame, period: str, freeze: Freeze, runs: dict[str, str]) -> pl.DataFrame:
    """The FOUND_ADJUSTMENTS that can be billed, as ADJUSTMENTS of their runs (by merchant)."""
    return (
        found.filter(pl.col("parked_reason").is_null())
        .with_columns(
            run_id=pl.col("merchant_id").replace_strict(runs, return_dtype=pl.String),
            period=pl.lit(period),
            cutoff=instant(freeze.cutoff),
        )
        .select(list(ADJUSTMENTS))
    )
