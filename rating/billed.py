"""What has been billed so far for periods that are closed: each line with the last adjustment that followed it."""

from __future__ import annotations

from typing import Any, Final

import orjson
import polars as pl
from sqlalchemy import Connection

from catalog.price import price_text
from catalog.read_frame import read_frame
from core.frames import Schema, checked
from rating.charge import AMOUNT, INSTANT, QUANTITY
from rating.inputs import DUE_PRICES

# Lines of closed periods as what would rate them again (the prices are those they were billed at), and what has been
# billed for them: quantity and amount as of ``billed_cutoff``, after ``sequence`` adjustments.
BILLED: Final[Schema] = {
    **DUE_PRICES,
    "for_period": pl.String(),
    "catalog_version": pl.Int64(),
    "sequence": pl.Int32(),
    "billed_cutoff": INSTANT,
    "old_quantity": QUANTITY,
    "old_amount": AMOUNT,
}
OWNER_PERIODS: Final[Schema] = dict.fromkeys(("merchant_id", "customer_id", "meter_id", "period"), pl.String())

# An adjustment says what the whole period came to, so that the last one says all.
QUERY = """
    SELECT c.merchant_id, c.subscription_id, c.customer_id, c.subject, c.plan, c.price_id, c.meter_id, c.meter,
        c.aggregation, c.model, p.price::text, c.currency,
        (extract(epoch FROM c.period_start) * 1000000)::bigint, (extract(epoch FROM c.period_end) * 1000000)::bigint,
        c.period, c.catalog_version, coalesce(a.sequence, 0),
        (extract(epoch FROM coalesce(a.cutoff, c.cutoff)) * 1000000)::bigint,
        coalesce(a.new_quantity, c.quantity)::text, coalesce(a.new_amount, c.amount)::text
    FROM unnest(%(merchant_id)s::text[], %(customer_id)s::text[], %(meter_id)s::text[], %(period)s::text[])
        AS o (merchant_id, customer_id, meter_id, period)
    JOIN subscriptions AS s ON s.merchant_id = o.merchant_id AND s.customer_id = o.customer_id
    JOIN charge_lines AS c ON c.period = o.period AND c.subscription_id = s.subscription_id
        AND c.meter_id = o.meter_id AND c.parked_reason IS NULL
    JOIN charge_prices AS p ON p.run_id = c.run_id AND p.price_number = c.price_number
    LEFT JOIN LATERAL (
        SELECT sequence, cutoff, new_quantity, new_amount FROM charge_adjustments AS l
        WHERE l.for_period = c.period AND l.subscription_id = c.subscription_id AND l.price_id = c.price_id
        ORDER BY sequence DESC LIMIT 1
    ) AS a ON true
"""
INSTANTS: Final = ("period_start", "period_end", "billed_cutoff")
READ_AS: Final[Schema] = {
    name: pl.Int64() if name in INSTANTS else pl.String() if name in ("old_quantity", "old_amount") else kind
    for name, kind in BILLED.items()
}


def load_billed(connection: Connection, owners: pl.DataFrame) -> pl.DataFrame:
    """BILLED of the given OWNER_PERIODS; whatever was not billed is left out."""
    if owners.is_empty():
        return pl.DataFrame(schema=BILLED)
    asked = checked(owners, OWNER_PERIODS)
    values = {name: asked[name].to_list() for name in OWNER_PERIODS}
    found = read_frame(connection, QUERY, values, READ_AS).with_columns(
        *(pl.from_epoch(name, "us").dt.replace_time_zone("UTC") for name in INSTANTS),
        pl.col("old_quantity").cast(QUANTITY),
        pl.col("old_amount").cast(AMOUNT),
    )
    one_spelling = {text: price_text(definition(text)) for text in found["definition"].unique()}
    spelled = found.with_columns(pl.col("definition").replace_strict(one_spelling, return_dtype=pl.String))
    order = ("merchant_id", "subscription_id", "for_period", "price_id")
    return checked(spelled, BILLED).sort(order)


def definition(text: str) -> dict[str, Any]:
    """A price as Postgres keeps it, in the spelling that is Postgres's own."""
    found: dict[str, Any] = orjson.loads(text)
    return found
