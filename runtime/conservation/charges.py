"""Charge lines against windows, and invoices against charge lines: the quantities and cents that were billed."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl
from sqlalchemy import Connection, text

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from core.frames import Schema
from core.money import minor_digits
from rating.charge import INSTANT, QUANTITY

CELL = ("merchant_id", "customer_id", "meter_id")

# A line that was corrected is held against the windows that it was corrected from.
LINES = """
    SELECT merchant_id, customer_id, meter_id, aggregation, coalesce(corrected_from, quantity)::text,
        (extract(epoch FROM period_start) * 1000000)::bigint, (extract(epoch FROM period_end) * 1000000)::bigint,
        (extract(epoch FROM cutoff) * 1000000)::bigint
    FROM charge_lines WHERE parked_reason IS NULL
"""
INSTANTS = ("period_start", "period_end", "cutoff")
LINES_SCHEMA: Schema = {
    **dict.fromkeys((*CELL, "aggregation", "quantity"), pl.String()),
    **dict.fromkeys(INSTANTS, pl.Int64()),
}
INSIDE = """
    stored_at <= {cutoff:DateTime64(6, 'UTC')} AND window_start >= {start:DateTime64(6, 'UTC')}
    AND window_start < {end:DateTime64(6, 'UTC')} GROUP BY merchant_id, customer_id, meter_id
"""
NAMES = "toString(merchant_id) AS merchant_id, customer_id, toString(meter_id) AS meter_id"
WINDOWS = f"""
    SELECT {NAMES}, toInt64(sum(d.events)) AS counted,
        toDecimal128(sum(toDecimal256(d.sum, 12)), 12) AS total, min(d.min) AS least, max(d.max) AS most,
        argMax(d.last, (d.last_at, d.last_key)) AS newest
    FROM usage_windows AS d WHERE {INSIDE}
"""
LATE = f"""
    SELECT {NAMES}, toInt64(sum(d.events)) AS counted FROM usage_windows AS d
    WHERE stored_at > {{cutoff:DateTime64(6, 'UTC')}} AND stored_at <= {{until:DateTime64(6, 'UTC')}}
        AND window_start >= {{start:DateTime64(6, 'UTC')}} AND window_start < {{end:DateTime64(6, 'UTC')}}
    GROUP BY merchant_id, customer_id, meter_id
"""
UNIQUES = f"SELECT {NAMES}, toInt64(uniqExact(value)) AS different FROM usage_uniques WHERE {INSIDE}"

UNLIKE_LINES = text("""
    SELECT count(*) FROM charge_lines AS c
    LEFT JOIN invoices AS i ON i.subscription_id = c.subscription_id AND i.period_start = c.period_start
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = c.price_id
    WHERE c.parked_reason IS NULL
        AND (l.quantity IS DISTINCT FROM c.quantity OR l.unrounded IS DISTINCT FROM c.amount)
""")
LINE_COUNTS = text("""
    SELECT (SELECT count(*) FROM invoice_lines), (SELECT count(*) FROM charge_lines WHERE parked_reason IS NULL)
""")
WRONG_TOTALS = text("""
    SELECT count(*) FROM invoices AS i WHERE i.total_minor <>
        (SELECT coalesce(sum(l.amount_minor), 0) FROM invoice_lines AS l WHERE l.invoice_id = i.invoice_id)
""")
CURRENCIES = text("SELECT DISTINCT currency FROM invoices")
# Whichever way halves go, a rounded amount is within half a minor unit of what was rounded.
WRONG_ROUNDING = text("""
    SELECT count(*) FROM invoice_lines AS l JOIN invoices AS i USING (invoice_id)
    WHERE i.currency = :currency AND abs(l.unrounded * power(10::numeric, :digits) - l.amount_minor) > 0.5
""")
GAPS = text("""
    SELECT s.merchant_id FROM invoice_sequences AS s LEFT JOIN invoices AS i
        ON i.merchant_id = s.merchant_id AND i.number IS NOT NULL
    GROUP BY s.merchant_id, s.next_number HAVING count(i.invoice_id) <> s.next_number - 1
""")


@dataclass(frozen=True, slots=True)
class ChargeFault:
    """A charge line whose quantity is not what the windows of its period add up to, as of its cut-off."""

    merchant_id: str
    customer_id: str
    meter_id: str
    start: datetime
    end: datetime
    charged: Decimal
    found: Decimal

    def __str__(self) -> str:
        return (
            f"{self.customer_id}, meter {self.meter_id}, from {self.start:%Y-%m-%d}: {self.charged:f} was charged, "
            f"the windows say {self.found:f}"
        )


def charge_faults(connection: Connection, store: UsageStore) -> list[ChargeFault]:
    """Every charge line that differs from its windows."""
    faults = []
    for start, end, bound, some in charged_periods(connection):
        windows, uniques = store.query_frame(WINDOWS, bound), store.query_frame(UNIQUES, bound)
        found = some.join(windows, on=CELL, how="left").join(uniques, on=CELL, how="left")
        found = found.with_columns(found=quantity_found())
        wrong = found.filter(pl.col("quantity").ne_missing(pl.col("found")))
        faults += [
            ChargeFault(
                merchant_id=row["merchant_id"],
                customer_id=row["customer_id"],
                meter_id=row["meter_id"],
                start=start,
                end=end,
                charged=row["quantity"],
                found=row["found"],
            )
            for row in wrong.sort(CELL).iter_rows(named=True)
        ]
    return faults


def late_events(connection: Connection, store: UsageStore, until: datetime) -> int:
    """How often a window of a billed period counted an event that was stored after the period's cut-off."""
    total = 0
    for _start, _end, bound, some in charged_periods(connection):
        late = store.query_frame(LATE, bound | {"until": until})
        total += int(some.select(CELL).unique().join(late, on=CELL)["counted"].sum())
    return total


Charged = tuple[datetime, datetime, dict[str, object], pl.DataFrame]


def charged_periods(connection: Connection) -> Iterator[Charged]:
    """The charge lines by period and cut-off: start, end, the parameters of a question, and the lines."""
    lines = read_frame(connection, LINES, {}, LINES_SCHEMA).with_columns(
        pl.col("quantity").cast(QUANTITY), pl.col(*INSTANTS).cast(INSTANT)
    )
    for (start, end, cutoff), some in lines.group_by("period_start", "period_end", "cutoff", maintain_order=True):
        assert isinstance(start, datetime)
        assert isinstance(end, datetime)
        yield start, end, {"cutoff": cutoff, "start": start, "end": end}, some


def quantity_found() -> pl.Expr:
    """What the windows say of a line, by its aggregation."""
    columns = {"count": "counted", "sum": "total", "min": "least", "max": "most", "latest": "newest"}
    quantity = pl.col("different").cast(QUANTITY)
    for aggregation, column in columns.items():
        chosen = pl.col("aggregation") == aggregation
        quantity = pl.when(chosen).then(pl.col(column).cast(QUANTITY)).otherwise(quantity)
    return quantity.fill_null(pl.lit(Decimal(0)).cast(QUANTITY))


def invoice_faults(connection: Connection) -> list[str]:
    """Invoices that do not repeat their charge lines, add up wrongly, or whose numbers have gaps."""

    def count(statement: object, **bound: object) -> int:
        return int(connection.execute(statement, bound).scalar_one())  # type: ignore[call-overload]

    faults = []
    if unlike := count(UNLIKE_LINES):
        faults.append(f"{unlike} charge lines are not on an invoice as they are")
    billed, charged = connection.execute(LINE_COUNTS).one()
    if billed != charged:
        faults.append(f"there are {billed} invoice lines and {charged} charge lines")
    if wrong := count(WRONG_TOTALS):
        faults.append(f"{wrong} invoices do not add up")
    faults += [
        f"{wrong} lines in {currency} are not rounded to the nearest minor unit"
        for currency in connection.execute(CURRENCIES).scalars().all()
        if (wrong := count(WRONG_ROUNDING, currency=currency, digits=minor_digits(currency)))
    ]
    faults += [f"the invoice numbers of {merchant_id} have a gap" for merchant_id in connection.execute(GAPS).scalars()]
    return faults
