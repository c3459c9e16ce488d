"""The SQL of an exact quantity, for the questions that no view answers. Migration 0002 has the views' own copy."""

from __future__ import annotations


def quantity_sql(aggregation: str, deltas: str) -> str:
    """The quantity of a group of rows of ``usage_deltas`` (under the alias ``deltas``), as Decimal(38, 12).

    ``aggregation`` is the SQL that names the group's aggregation. Sums run in 256 bits, because ClickHouse wraps a
    128-bit sum silently; a result too large for Decimal(38, 12) raises DECIMAL_OVERFLOW.
    """
    d = deltas
    return f"""toDecimal128(multiIf(
        {aggregation} = 'count', toDecimal256(sum({d}.events), 12),
        {aggregation} = 'sum', sum(toDecimal256({d}.sum, 12)),
        {aggregation} = 'min', toDecimal256(minIf({d}.min, NOT {d}.is_value), 12),
        {aggregation} = 'max', toDecimal256(maxIf({d}.max, NOT {d}.is_value), 12),
        {aggregation} = 'latest',
            toDecimal256(argMaxIf({d}.last, ({d}.last_at, {d}.last_key), NOT {d}.is_value), 12),
        {aggregation} = 'avg', {average_sql(f"sum(toDecimal256({d}.sum, 12))", f"sum({d}.events)")},
        toDecimal256(uniqExactIf({d}.value, {d}.is_value), 12)
    ), 12)"""


def average_sql(total: str, events: str) -> str:
    """A sum (Decimal256 with 12 places) by a number of events, rounded once, half a unit away from zero; 0 of none.

    A quotient of decimals would be cut off, so that whole numbers are divided.
    """
    return quotient_sql(f"toInt256(({total}) * toDecimal256('1000000000000', 0))", f"toInt256(greatest({events}, 1))")


def quotient_sql(units: str, count: str) -> str:
    """Smallest units (Int256) by a number above 0 (Int256), rounded as an average is: a Decimal256 with 12 places."""
    rounded = f"(intDiv(abs({units}), {count}) + (2 * (abs({units}) % {count}) >= {count})) * sign({units})"
    return f"toDecimal256({rounded}, 12) / toDecimal256('1000000000000', 0)"
