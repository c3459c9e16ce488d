"""I3: the generator's quantities = windows = charge lines + late usage = invoice lines, each in decimals."""

from __future__ import annotations

from decimal import Decimal

from runtime.traffic.meters import METERS, ZONES, currency_of, price_of
from runtime.traffic.oracle import MINOR_DIGITS, charge, rounded
from tests.checker.expected import Cell, Expected, month_bounds
from tests.checker.result import InvariantResult
from tests.checker.stores import Stores

# The simulator's customers are numbered, and their zone follows from the number.
OF_ZONE = "startsWith(subject, 'c-') AND toUInt32OrZero(substring(subject, 3)) % {zones:UInt32} = {zone:UInt32}"
INSIDE = """
    window_start >= toDateTime({start:Int64}, 'UTC') AND window_start < toDateTime({end:Int64}, 'UTC')
    AND stored_at <= fromUnixTimestamp64Micro({cutoff:Int64}, 'UTC')
"""
# A partition restates a window when an event of it is taken back or amended: what it said before counts no longer.
RESTATED = """
    SELECT merchant_id, customer_id, meter_id, window_start, group_key, partition, max(stored_at) AS since
    FROM usage_windows WHERE restates = 1 AND stored_at <= fromUnixTimestamp64Micro({cutoff:Int64}, 'UTC')
    GROUP BY merchant_id, customer_id, meter_id, window_start, group_key, partition
"""
STANDING = f"""
    SELECT * FROM [table] LEFT JOIN ({RESTATED}) AS r
        USING (merchant_id, customer_id, meter_id, window_start, group_key, partition)
    WHERE {OF_ZONE} AND {INSIDE} AND stored_at >= r.since
"""
WINDOWS = f"""
    SELECT merchant_id, subject, meter, aggregation, toString(sum(w.events)), toString(sum(toDecimal256(w.sum, 12))),
        toString(max(w.max)), toString(argMax(w.last, (w.last_at, w.last_key)))
    FROM ({STANDING.replace("[table]", "usage_windows")}) AS w WHERE w.events > 0
    GROUP BY merchant_id, subject, meter, aggregation
"""
UNIQUES = f"""
    SELECT merchant_id, subject, meter, 'unique', toString(uniqExact(value)), '0', '0', '0'
    FROM ({STANDING.replace("[table]", "usage_uniques")}) GROUP BY merchant_id, subject, meter
"""
END_OF_TIME_US = 4_000_000_000_000_000


def sums_agree(stores: Stores, expected: Expected) -> InvariantResult:
    """I3, for the month of the generator's plan."""
    codes = {row[0]: row[1] for row in stores.sql("SELECT merchant_id, code FROM merchants")}
    codes = {merchant_id: code for merchant_id, code in codes.items() if code in ours(expected)}
    windows = window_quantities(stores, expected, codes, END_OF_TIME_US)
    faults = differing(expected.quantities, windows, "the generator sent", "the windows hold")
    period = expected.month.isoformat()[:7]
    lines = [row for row in stores.sql(LINES, period=period) if row[0] in codes.values()]
    faults += charged_as_windows(stores, expected, codes, lines)
    faults += billed_as_charged(expected, lines)
    adjustments = [row for row in stores.sql(ADJUSTMENTS, period=period) if row[0] in codes.values()]
    faults += charged_as_windows(stores, expected, codes, adjustments)
    faults += adjusted_as_billed(expected, lines, adjustments)
    charged = {(row[0], row[1], row[2]) for row in lines}
    if lines:
        faults += [
            f"{' '.join(cell)}: {quantity:f} was used and is on no invoice"
            for cell, quantity in expected.quantities.items()
            if cell not in charged
        ]
    billed = {cell_of(row): Decimal(str(row[3])) for row in (*lines, *adjustments)}
    late = sum(windows.get(cell, Decimal(0)) != quantity for cell, quantity in billed.items())
    figures: dict[str, int | str] = {
        "cells": len(expected.quantities),
        "charge lines": len(lines),
        "adjustments": len(adjustments),
        "with late usage": late,
    }
    return InvariantResult("I3", "sent = windows = charged + late = invoiced", figures, tuple(faults))


LINES = """
    SELECT m.code, c.subject, c.meter, c.quantity::text, (extract(epoch FROM c.cutoff) * 1000000)::bigint,
        c.amount::text, i.currency, i.state, l.quantity::text, l.amount_minor, i.number
    FROM charge_lines AS c JOIN merchants AS m USING (merchant_id)
    LEFT JOIN invoices AS i ON i.subscription_id = c.subscription_id AND i.period_start = c.period_start
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = c.price_id AND l.kind = 'usage'
    WHERE c.period = %(period)s AND c.parked_reason IS NULL
"""
# Begins like LINES, with what the whole period came to; then what had been billed for it, and the difference.
ADJUSTMENTS = """
    SELECT m.code, a.subject, a.meter, a.new_quantity::text, (extract(epoch FROM a.cutoff) * 1000000)::bigint,
        a.new_amount::text, a.currency, a.old_quantity::text, a.old_amount::text, a.amount::text,
        l.unrounded::text, l.quantity::text, l.amount_minor
    FROM charge_adjustments AS a JOIN merchants AS m USING (merchant_id)
    LEFT JOIN invoices AS i ON i.subscription_id = a.subscription_id AND i.period_start = a.period_start
    LEFT JOIN invoice_lines AS l ON l.invoice_id = i.invoice_id AND l.price_id = a.price_id
        AND l.for_period = a.for_period
    WHERE a.for_period = %(period)s ORDER BY a.sequence
"""


def ours(expected: Expected) -> set[str]:
    """The codes of the plan's merchants."""
    return {expected.plan.merchant_code(merchant) for merchant in range(expected.plan.merchants)}


def window_quantities(stores: Stores, expected: Expected, codes: dict[str, str], cutoff_us: int) -> dict[Cell, Decimal]:
    """What the windows of the month add up to, as stored until a cut-off; each customer's month in its own zone."""
    found: dict[Cell, Decimal] = {}
    for number, zone in enumerate(ZONES):
        start, end = month_bounds(expected.month, zone)
        bound = {
            "zones": len(ZONES),
            "zone": number,
            "start": int(start.timestamp()),
            "end": int(end.timestamp()),
            "cutoff": cutoff_us,
        }
        for statement in (WINDOWS, UNIQUES):
            for merchant_id, subject, meter, aggregation, events, total, most, newest in stores.usage(
                statement, **bound
            ):
                quantity = {"count": events, "sum": total, "max": most, "latest": newest, "unique": events}
                # A unique meter's windows only count events; its quantity comes from the distinct values.
                if merchant_id in codes and (aggregation != "unique" or statement is UNIQUES):
                    found[codes[merchant_id], subject, meter] = Decimal(quantity[aggregation])
    return found


def differing(left: dict[Cell, Decimal], right: dict[Cell, Decimal], says: str, tells: str) -> list[str]:
    """Cells whose quantities are not equal; a missing one is zero."""
    zero = Decimal(0)
    return [
        f"{' '.join(cell)}: {says} {left.get(cell, zero):f}, {tells} {right.get(cell, zero):f}"
        for cell in sorted(left.keys() | right.keys())
        if left.get(cell, zero) != right.get(cell, zero)
    ]


def charged_as_windows(
    stores: Stores, expected: Expected, codes: dict[str, str], lines: list[tuple[object, ...]]
) -> list[str]:
    """Charge lines that are not what the windows held at their cut-off."""
    faults: list[str] = []
    for cutoff in sorted({int(str(row[4])) for row in lines}):
        charged = {cell_of(row): Decimal(str(row[3])) for row in lines if int(str(row[4])) == cutoff}
        held = window_quantities(stores, expected, codes, cutoff)
        held = {cell: quantity for cell, quantity in held.items() if cell in charged}
        faults += differing(held, charged, "at the cut-off the windows held", "charged was")
    return faults


def billed_as_charged(expected: Expected, lines: list[tuple[object, ...]]) -> list[str]:
    """Invoice lines that do not repeat their charge line, or whose amount is not what the price list says."""
    merchants = {expected.plan.merchant_code(merchant): merchant for merchant in range(expected.plan.merchants)}
    meters = {meter.code: meter for meter in METERS}
    faults = []
    for row in lines:
        cell, quantity = cell_of(row), Decimal(str(row[3]))
        merchant = merchants[cell[0]]
        currency = currency_of(merchant)
        exact = charge(price_of(merchant, meters[cell[2]]), quantity)
        minor = int(rounded(exact, currency).scaleb(MINOR_DIGITS.get(currency, 2)))
        if row[8] is None or Decimal(str(row[8])) != quantity:
            faults.append(f"{' '.join(cell)}: charged {quantity:f}, invoiced {row[8]}")
        elif (row[9], row[6]) != (minor, currency) or Decimal(str(row[5])) != exact:
            faults.append(
                f"{' '.join(cell)}: invoiced {row[9]} minor units of {row[6]}, expected {minor} of {currency}"
            )
    return faults


def adjusted_as_billed(
    expected: Expected, lines: list[tuple[object, ...]], adjustments: list[tuple[object, ...]]
) -> list[str]:
    """Adjustments that do not follow on what was billed before, or are not the difference that the price list makes."""
    merchants = {expected.plan.merchant_code(merchant): merchant for merchant in range(expected.plan.merchants)}
    meters = {meter.code: meter for meter in METERS}
    billed = {cell_of(row): (Decimal(str(row[3])), Decimal(str(row[5]))) for row in lines}
    faults = []
    for row in adjustments:
        cell, currency = cell_of(row), str(row[6])
        new, new_amount, old, old_amount, amount, unrounded, quantity = (
            Decimal(str(row[place])) for place in (3, 5, 7, 8, 9, 10, 11)
        )
        exact = charge(price_of(merchants[cell[0]], meters[cell[2]]), new)
        minor = int(rounded(amount, currency).scaleb(MINOR_DIGITS.get(currency, 2)))
        if billed.get(cell) != (old, old_amount):
            faults.append(f"{' '.join(cell)}: adjusted from {old:f}, billed was {billed.get(cell)}")
        if (new_amount, amount, unrounded, quantity) != (exact, exact - old_amount, amount, new - old):
            faults.append(f"{' '.join(cell)}: adjusted to {new_amount:f} by {unrounded:f}, expected {exact:f}")
        if row[12] != minor:
            faults.append(f"{' '.join(cell)}: adjusted by {row[12]} minor units, expected {minor}")
        billed[cell] = (new, new_amount)
    return faults


def cell_of(row: tuple[object, ...]) -> Cell:
    """Merchant, customer and meter of a line."""
    return str(row[0]), str(row[1]), str(row[2])
