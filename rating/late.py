"""Late usage: what was stored for a period after it was billed. It never changes an invoice; here it is said."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime

import polars as pl
from sqlalchemy import Engine

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from clickhouse.late import LATE_USAGE, OWNER, late_owners, late_usage
from core.db import transaction
from core.frames import Schema, checked
from rating.charge import INSTANT

BILLED = """
    SELECT merchant_id, subscription_id, customer_id, subject, meter_id, meter, aggregation,
        (extract(epoch FROM period_start) * 1000000)::bigint, (extract(epoch FROM period_end) * 1000000)::bigint,
        (extract(epoch FROM cutoff) * 1000000)::bigint
    FROM charge_lines WHERE period = %(period)s AND parked_reason IS NULL
"""
INSTANTS = ("period_start", "period_end", "cutoff")
NAMES = ("merchant_id", "subscription_id", "customer_id", "subject", "meter_id", "meter", "aggregation")
BILLED_SCHEMA: Schema = {**dict.fromkeys(NAMES, pl.String()), **dict.fromkeys(INSTANTS, pl.Int64())}

# One row a subscription and meter that was added to after its period's cut-off.
LATE: Schema = {
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "cutoff": INSTANT,
    **LATE_USAGE,
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
    owners = late_owners(store, start=start, end=end, cutoff=cutoff, merchant_ids=merchants)
    suspects = billed.join(owners, on=OWNER, how="semi", maintain_order="left")
    parts = [late_usage(store, some, at) for (at,), some in suspects.group_by("cutoff") if isinstance(at, datetime)]
    found = pl.concat(parts) if parts else pl.DataFrame(schema=LATE)
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
