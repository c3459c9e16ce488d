"""Late usage: what was stored for a period after it was billed, and is not billed yet. Here it is only said."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl
from sqlalchemy import Engine

from catalog.late_usage import load_late_settings, with_late_settings
from catalog.read_frame import read_frame
from catalog.version import current_version
from clickhouse.client import UsageStore
from clickhouse.late import LASTING, LATE_USAGE, OWNER, late_owners, late_usage
from core.db import transaction
from core.frames import Schema, checked
from rating.charge import INSTANT

# What an adjustment has billed is not late any more.
BILLED = """
    SELECT merchant_id, subscription_id, customer_id, subject, meter_id, meter, aggregation,
        (extract(epoch FROM period_start) * 1000000)::bigint, (extract(epoch FROM period_end) * 1000000)::bigint,
        (extract(epoch FROM coalesce(a.adjusted_at, cutoff)) * 1000000)::bigint
    FROM charge_lines AS c LEFT JOIN (
        SELECT subscription_id, price_id, max(cutoff) AS adjusted_at FROM charge_adjustments
        WHERE for_period = %(period)s GROUP BY subscription_id, price_id
    ) AS a USING (subscription_id, price_id)
    WHERE period = %(period)s AND parked_reason IS NULL
"""
INSTANTS = ("period_start", "period_end", "cutoff")
NAMES = ("merchant_id", "subscription_id", "customer_id", "subject", "meter_id", "meter", "aggregation")
BILLED_SCHEMA: Schema = {**dict.fromkeys(NAMES, pl.String()), **dict.fromkeys(INSTANTS, pl.Int64())}

# One row a subscription and meter that was added to after its period's cut-off, or after that of its last adjustment;
# ``policy`` is what the merchant wants of it now.
LATE: Schema = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "cutoff": INSTANT,
    **LATE_USAGE,
    "policy": pl.String(),
}


def find_late(
    books: Engine, store: UsageStore, period: str, merchant_ids: Collection[str] | None = None
) -> pl.DataFrame:
    """The late usage (LATE) of what was billed for a period, of all merchants or of some (by id).

    Raises ``Transient`` when a store does not answer.
    """
    billed = load_billed(books, period, merchant_ids)
    if billed.is_empty():
        return pl.DataFrame(schema=LATE)
    start, end, cutoff = billed["period_start"].min(), billed["period_end"].max(), billed["cutoff"].min()
    assert isinstance(start, datetime)
    assert isinstance(end, datetime)
    assert isinstance(cutoff, datetime)
    merchants = billed["merchant_id"].unique().to_list()
    lasting = billed.filter(pl.col("aggregation").str.contains(LASTING))["meter_id"].unique().to_list()
    owners = late_owners(store, start=start, end=end, cutoff=cutoff, merchant_ids=merchants, lasting=lasting)
    suspects = billed.join(owners, on=OWNER, how="semi", maintain_order="left")
    parts = [late_usage(store, some, at) for (at,), some in suspects.group_by("cutoff") if isinstance(at, datetime)]
    if not parts:
        return pl.DataFrame(schema=LATE)
    with transaction(books) as connection:
        settings = load_late_settings(connection, current_version(connection))
    found = with_late_settings(pl.concat(parts), settings)
    return checked(found, LATE).sort("merchant_id", "subject", "subscription_id", "meter")


def load_billed(books: Engine, period: str, merchant_ids: Collection[str] | None) -> pl.DataFrame:
    """What was billed for a period, once for each subscription and meter."""
    with transaction(books) as connection:
        lines = read_frame(connection, BILLED, {"period": period}, BILLED_SCHEMA)
    if merchant_ids is not None:
        lines = lines.filter(pl.col("merchant_id").is_in(list(merchant_ids)))
    return lines.unique(maintain_order=True).with_columns(
        pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in INSTANTS
    )
