"""Rounds magnitudes that were worked out to 24 places and beyond, once and from their exact value."""

from __future__ import annotations

import polars as pl

from rating.exact import ONE, UNITS, plus, whole

HALF = ONE // 2


def rounded_to(lines: pl.DataFrame, mode: str, unit: str) -> pl.DataFrame:
    """``whole_part`` and ``finer`` rounded to a multiple of ``unit`` (integers of scale 12) by the column ``mode``.

    ``left`` says where the exact value stands above the 24th place: 0 at it, up to a half and beyond as a part of
    10^12. Where the mode is null, the value is rounded to the 24th place, halves away from zero.
    """
    named = pl.col(mode)
    to_unit = pl.coalesce(unit, whole(1))
    below, half = (pl.col("whole_part") % to_unit) * whole(ONE) + pl.col("finer"), to_unit * whole(HALF)
    steps = pl.col("whole_part") // to_unit
    something_left = pl.col("left") > 0
    above_half = (below > half) | ((below == half) & something_left)
    at_half = (below == half) & ~something_left
    up = (
        pl.when(named == "up")
        .then((below > 0) | something_left)
        .when(named == "half_away")
        .then(above_half | at_half)
        .when(named == "half_even")
        .then(above_half | (at_half & (steps % whole(2) == 1)))
        .otherwise(pl.lit(value=False))
    )
    to_24 = pl.col("finer") + (pl.col("left") >= HALF).cast(UNITS)
    carried = to_24 // whole(ONE)
    return lines.with_columns(
        whole_part=pl.when(named.is_null())
        .then(plus(pl.col("whole_part"), carried))
        .otherwise(plus(steps * to_unit, up.cast(UNITS) * to_unit)),
        finer=pl.when(named.is_null()).then(to_24 % whole(ONE)).otherwise(whole(0)),
    )
