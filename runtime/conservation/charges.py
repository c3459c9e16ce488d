"""Charge lines and adjustments against windows, and invoices against both: what was billed, to the cent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal

import polars as pl
from sqlalchemy import Connection, text

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from clickhouse.late import late_sql
from clickhouse.quantity import average_sql
from core.frames import Schema
from core.money import minor_digits
from rating.charge import INSTANT, QUANTITY
from rating.derive import LINE, is_derived, load_ways, measure
from rating.freeze import Freeze
from rating.load_usage import SCOPE

CELL = ("merchant_id", "customer_id", "meter_id")

# What was billed for each period, and until when it counted: by its line, and by line and adjustments together after
# each adjustment. ``is_last`` is 1 for the last word on a period. What was corrected is held against the windows that
# it was corrected from.
LINES = """
    SELECT merchant_id, customer_id, meter_id, aggregation, quantity::text,
        (extract(epoch FROM period_start) * 1000000)::bigint, (extract(epoch FROM period_end) * 1000000)::bigint,
        (extract(epoch FROM cutoff) * 1000000)::bigint,
        (sequence = max(sequence) OVER (PARTITION BY period, subscription_id, price_id))::int,
        billed::text, subscription_id, price_id, runs.catalog_version
    FROM (
        SELECT merchant_id, customer_id, meter_id, aggregation, coalesce(corrected_from, quantity) AS quantity,
            period_start, period_end, cutoff, period, subscription_id, price_id, 0 AS sequence, quantity AS billed,
            run_id
        FROM charge_lines WHERE parked_reason IS NULL
        UNION ALL
        SELECT merchant_id, customer_id, meter_id, aggregation, coalesce(corrected_from, new_quantity),
            for_start, for_end, cutoff, for_period, subscription_id, price_id, sequence, new_quantity, run_id
        FROM charge_adjustments
    ) AS billed LEFT JOIN (SELECT run_id, catalog_version FROM rating_runs) AS runs USING (run_id)
"""
INSTANTS = ("period_start", "period_end", "cutoff")
LINES_SCHEMA: Schema = {
    **dict.fromkeys((*CELL, "aggregation", "quantity"), pl.String()),
    **dict.fromkeys((*INSTANTS, "is_last"), pl.Int64()),
    **dict.fromkeys(("billed", "subscription_id", "price_id"), pl.String()),
    "catalog_version": pl.Int64(),
}
DELTAS = """
    usage_deltas_at(cutoff = {cutoff:DateTime64(6, 'UTC')}) AS d
    WHERE d.window_start >= {start:DateTime64(6, 'UTC')} AND d.window_start < {end:DateTime64(6, 'UTC')}
"""
NAMES = "toString(d.merchant_id) AS merchant_id, d.customer_id AS customer_id, toString(d.meter_id) AS meter_id"
WINDOWS = f"""
    SELECT {NAMES}, toInt64(sum(d.events)) AS counted,
        toDecimal128(sum(toDecimal256(d.sum, 12)), 12) AS total, min(d.min) AS least, max(d.max) AS most,
        argMax(d.last, (d.last_at, d.last_key)) AS latest,
        toDecimal128({average_sql("sum(toDecimal256(d.sum, 12))", "sum(d.events)")}, 12) AS average
    FROM {DELTAS} AND NOT d.is_value GROUP BY d.merchant_id, d.customer_id, d.meter_id
"""
UNIQUES = f"""
    SELECT {NAMES}, toInt64(uniqExact(d.value)) AS different
    FROM {DELTAS} AND d.is_value GROUP BY d.merchant_id, d.customer_id, d.meter_id
"""
LATE = f"""
    SELECT {NAMES}, toInt64(sum(d.events)) AS counted FROM ([rows]) AS d
    GROUP BY d.merchant_id, d.customer_id, d.meter_id
"""
SEEN = "stored_at <= {until:DateTime64(6, 'UTC')}"
IS_LATE = f"""stored_at > {{cutoff:DateTime64(6, 'UTC')}} AND {SEEN}
    AND window_start >= {{start:DateTime64(6, 'UTC')}} AND window_start < {{end:DateTime64(6, 'UTC')}}"""

UNLIKE_LINES = text("""
    SELECT count(*) FROM charge_lines AS c
    LEFT JOIN invoices AS i ON i.subscription_id = c.subscription_id AND i.period_start = c.period_start
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = c.price_id AND l.kind = 'usage'
    WHERE c.parked_reason IS NULL
        AND (l.quantity IS DISTINCT FROM c.quantity OR l.unrounded IS DISTINCT FROM c.amount)
""")
# Lines name their prices without a foreign key, which would be asked about each of a million lines.
WITHOUT_PRICE = text("""
    SELECT count(*) FROM charge_lines AS c LEFT JOIN charge_prices AS p USING (run_id, price_number)
    WHERE p.price IS NULL
""")
UNLIKE_ADJUSTMENTS = text("""
    SELECT count(*) FROM charge_adjustments AS a
    LEFT JOIN invoices AS i ON i.subscription_id = a.subscription_id AND i.period_start = a.period_start
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = a.price_id AND l.kind = 'adjustment'
        AND l.for_period = a.for_period
    WHERE l.quantity IS DISTINCT FROM a.quantity OR l.unrounded IS DISTINCT FROM a.amount
""")
# Each adjustment begins where the line of its period, or the adjustment before it, has ended.
BROKEN_CHAINS = text("""
    SELECT count(*) FROM (
        SELECT a.old_quantity, a.old_amount, a.billed_cutoff, a.sequence, row_number() OVER w AS place,
            coalesce(lag(a.new_quantity) OVER w, c.quantity) AS quantity_before,
            coalesce(lag(a.new_amount) OVER w, c.amount) AS amount_before,
            coalesce(lag(a.cutoff) OVER w, c.cutoff) AS cutoff_before
        FROM charge_adjustments AS a LEFT JOIN charge_lines AS c ON c.period = a.for_period
            AND c.subscription_id = a.subscription_id AND c.price_id = a.price_id AND c.parked_reason IS NULL
        WINDOW w AS (PARTITION BY a.for_period, a.subscription_id, a.price_id ORDER BY a.sequence)
    ) AS chained
    WHERE (old_quantity, old_amount, billed_cutoff, sequence::bigint)
        IS DISTINCT FROM (quantity_before, amount_before, cutoff_before, place)
""")
LINE_COUNTS = text("""
    SELECT (SELECT count(*) FROM invoice_lines), (SELECT count(*) FROM charge_lines WHERE parked_reason IS NULL),
        (SELECT count(*) FROM charge_adjustments)
""")
WRONG_TOTALS = text("""
    SELECT count(*) FROM invoices AS i WHERE i.total_minor - i.credit_minor <>
        (SELECT coalesce(sum(l.amount_minor), 0) FROM invoice_lines AS l WHERE l.invoice_id = i.invoice_id)
""")
WRONG_CREDIT = text("""
    SELECT count(*) FROM invoices AS i FULL JOIN credit_entries AS e USING (invoice_id)
    WHERE coalesce(i.credit_minor, 0) <> coalesce(e.amount_minor, 0)
""")
WRONG_BALANCES = text("""
    SELECT count(*) FROM (
        SELECT balance_minor, sum(amount_minor) OVER (
            PARTITION BY merchant_id, customer_id, currency ORDER BY sequence) AS added_up
        FROM credit_entries
    ) AS accounts WHERE balance_minor <> added_up
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
# What must not be found in the books: how many there are of each is a fault.
COUNTED = {
    "charge lines are not on an invoice as they are": UNLIKE_LINES,
    "charge lines have no price": WITHOUT_PRICE,
    "adjustments are not on an invoice as they are": UNLIKE_ADJUSTMENTS,
    "adjustments do not begin where the one before ended": BROKEN_CHAINS,
    "invoices do not add up": WRONG_TOTALS,
    "invoices moved credit that is not in their customer's account": WRONG_CREDIT,
    "balances of credit do not add up": WRONG_BALANCES,
}


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
        derived = some.filter(is_derived())
        found = some.filter(~is_derived()).join(windows, on=CELL, how="left").join(uniques, on=CELL, how="left")
        found = pl.concat(
            [found.with_columns(found=quantity_found()), derived_anew(connection, store, derived)], how="diagonal"
        )
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


def derived_anew(connection: Connection, store: UsageStore, lines: pl.DataFrame) -> pl.DataFrame:
    """Lines whose quantity is derived, with that as billed and what the events themselves say, each counted once."""
    parts = [lines.with_columns(quantity=pl.col("billed").cast(QUANTITY), found=pl.lit(None, dtype=QUANTITY)).clear()]
    for (version,), some in lines.group_by("catalog_version", maintain_order=True):
        assert isinstance(version, int)
        cutoff = some["cutoff"][0]
        scopes = some.select(SCOPE)
        ways = load_ways(connection, scopes, Freeze(cutoff, cutoff, version))
        found = measure(store, scopes, ways, cutoff, anew=True).select(*LINE, found="quantity")
        billed = some.with_columns(quantity=pl.col("billed").cast(QUANTITY))
        parts.append(billed.join(found, on=LINE, how="left"))
    return pl.concat(parts)


def late_events(connection: Connection, store: UsageStore, until: datetime) -> int:
    """How often a window of a billed period counts an event that is not billed yet, or bills one that has changed.

    That is one that was stored, taken back or amended after the cut-off of the period's line, or of its last
    adjustment.
    """
    total = 0
    for _start, _end, bound, some in charged_periods(connection):
        unbilled = some.filter(pl.col("is_last") == 1).select(CELL).unique()
        if not unbilled.is_empty():
            late = store.query_frame(late_sql(LATE, IS_LATE, SEEN), bound | {"until": until})
            total += int(unbilled.join(late, on=CELL)["counted"].sum())
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
    columns = {"count": "counted", "sum": "total", "min": "least", "max": "most", "latest": "latest", "avg": "average"}
    quantity = pl.col("different").cast(QUANTITY)
    for aggregation, column in columns.items():
        chosen = pl.col("aggregation") == aggregation
        quantity = pl.when(chosen).then(pl.col(column).cast(QUANTITY)).otherwise(quantity)
    return quantity.fill_null(pl.lit(Decimal(0)).cast(QUANTITY))


def invoice_faults(connection: Connection) -> list[str]:
    """Invoices that do not repeat their charge lines, add up wrongly, or whose numbers have gaps."""

    def count(statement: object, **bound: object) -> int:
        return int(connection.execute(statement, bound).scalar_one())  # type: ignore[call-overload]

    found = {said: count(statement) for said, statement in COUNTED.items()}
    faults = [f"{number} {said}" for said, number in found.items() if number]
    billed, charged, adjusted = connection.execute(LINE_COUNTS).one()
    if billed != charged + adjusted:
        faults.append(f"there are {billed} invoice lines, {charged} charge lines and {adjusted} adjustments")
    faults += [
        f"{wrong} lines in {currency} are not rounded to the nearest minor unit"
        for currency in connection.execute(CURRENCIES).scalars().all()
        if (wrong := count(WRONG_ROUNDING, currency=currency, digits=minor_digits(currency)))
    ]
    faults += [f"the invoice numbers of {merchant_id} have a gap" for merchant_id in connection.execute(GAPS).scalars()]
    return faults
