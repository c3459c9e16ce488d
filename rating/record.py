"""Records what a close found: its runs before anything is rated, its charge lines all at once and only once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, bindparam, delete, func, insert, update
from sqlalchemy.exc import IntegrityError

from core.bulk import copy_rows
from core.errors import Stop
from core.frames import checked
from rating.adjustment import ADJUSTMENTS
from rating.charge import CHARGE_LINES, tiers_json
from rating.completeness import Gap, gaps_json
from rating.freeze import Freeze
from rating.tables import charge_adjustments, charge_lines, charge_prices, rating_runs


def record_claims(
    connection: Connection, period: str, freeze: Freeze, runs: Mapping[str, str], gaps: Sequence[Gap] = ()
) -> None:
    """Write down runs (by merchant), what freezes their inputs and what they are claimed in spite of.

    Raises ``Stop`` if another close claimed first.
    """
    rows = [
        {
            "run_id": run_id,
            "merchant_id": merchant_id,
            "period": period,
            "state": "claimed",
            "ended_by": freeze.ended_by,
            "cutoff": freeze.cutoff,
            "catalog_version": freeze.catalog_version,
            "incomplete": gaps_json(gaps),
        }
        for merchant_id, run_id in runs.items()
    ]
    try:
        connection.execute(insert(rating_runs), rows)
    except IntegrityError as error:
        raise Stop(f"another close has claimed {period}") from error


def record_lines(connection: Connection, period: str, lines: pl.DataFrame, runs: Mapping[str, str]) -> None:
    """Copy the charge lines of runs (by merchant) with their prices, and end the runs.

    Raises ``Stop`` if one of the runs is not open.
    What was parked before has been rated again: its lines give way to the new ones.
    """
    ended = connection.execute(
        update(rating_runs)
        .where(rating_runs.c.run_id.in_(runs.values()), rating_runs.c.state == "claimed")
        .values(state="recorded", recorded_at=func.clock_timestamp())
    )
    if ended.rowcount != len(runs):
        raise Stop("another close has recorded these runs")
    columns = charge_lines.c
    connection.execute(
        delete(charge_lines).where(
            columns.merchant_id.in_(list(runs)), columns.period == period, columns.parked_reason.is_not(None)
        )
    )
    numbered = with_price_numbers(checked(lines, CHARGE_LINES))
    copy_rows(connection, charge_prices, numbered.filter(is_first_with_price()).select(list(charge_prices.c.keys())))
    copy_rows(connection, charge_lines, numbered.drop("price"), tiers=tiers_json(pl.col("tiers")))
    record_spans(connection, lines)


def with_price_numbers(lines: pl.DataFrame) -> pl.DataFrame:
    """CHARGE_LINES with ``price_number``, the place of the first line of the same run and price."""
    places = lines.select("run_id", "price", place=pl.int_range(pl.len()))
    return lines.with_columns(places.select(price_number=pl.first("place").over("run_id", "price")))


def is_first_with_price() -> pl.Expr:
    """Of the lines that share a price in a run, the first."""
    return pl.col("price_number") == pl.int_range(pl.len())


def record_spans(connection: Connection, lines: pl.DataFrame) -> None:
    """Write down with each run from when until when its periods reach."""
    spans = lines.group_by("run_id", maintain_order=True).agg(
        pl.col("period_start").min().alias("first_start"), pl.col("period_end").max().alias("last_end")
    )
    rows = [{"of_run": run_id, "since": start, "until": end} for run_id, start, end in spans.iter_rows()]
    if rows:
        same = rating_runs.c.run_id == bindparam("of_run")
        reach = update(rating_runs).where(same).values(usage_from=bindparam("since"), usage_until=bindparam("until"))
        connection.execute(reach, rows)


def record_adjustments(connection: Connection, adjustments: pl.DataFrame) -> None:
    """Copy ADJUSTMENTS; raises ``Conflict`` when another close has posted the same difference meanwhile."""
    rows = checked(adjustments, ADJUSTMENTS)
    copy_rows(connection, charge_adjustments, rows, tiers=tiers_json(pl.col("tiers")))


def stamped(lines: pl.DataFrame, period: str, freeze: Freeze, runs: Mapping[str, str]) -> pl.DataFrame:
    """RATED_LINES as CHARGE_LINES of their runs."""
    return lines.with_columns(
        run_id=pl.col("merchant_id").replace_strict(dict(runs), return_dtype=pl.String),
        period=pl.lit(period),
        cutoff=instant(freeze.cutoff),
        catalog_version=pl.lit(freeze.catalog_version, dtype=pl.Int64),
    ).select(list(CHARGE_LINES))


def instant(moment: datetime) -> pl.Expr:
    """A literal instant in UTC."""
    return pl.lit(moment).dt.convert_time_zone("UTC").cast(CHARGE_LINES["cutoff"])
