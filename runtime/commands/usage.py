"""``millrace usage``: what was used, by whom, when."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Annotated, Any, TextIO
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import orjson
import polars as pl
import typer
from rich.console import Console
from rich.table import Table
from rich.text import Text
from sqlalchemy import Connection, select

from api.freshness import complete_until
from catalog.merchants import find_merchant
from catalog.tables import merchants
from clickhouse.client import UsageStore
from clickhouse.report import EARLIEST, LATEST, ROWS_MAX, Grain, UsageQuestion, usage_by
from clickhouse.top import TopCustomers, TopQuestion
from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from core.period import day_start
from core.quantity import plain_text
from runtime.log_ends import look_at_log
from runtime.settings import load_settings
from runtime.wiring import open_admin, open_books, open_usage_store

TABLE_ROWS = 100
PIPED_WIDTH = 200

Row = dict[str, Any]


def usage(
    *,
    merchant: Annotated[str | None, typer.Option(help="Only this merchant: its code or its id.")] = None,
    customer: Annotated[list[str] | None, typer.Option(help="Only this customer, by the merchant's own key.")] = None,
    meter: Annotated[list[str] | None, typer.Option(help="Only this meter, by its code.")] = None,
    by: Annotated[Grain, typer.Option(help="How long a bucket is.")] = "day",
    zone: Annotated[str, typer.Option(help="Whose hours, days and months, such as Europe/Berlin.")] = "UTC",
    from_: Annotated[str | None, typer.Option("--from", help="First day or instant, such as 2023-11-01.")] = None,
    to: Annotated[str | None, typer.Option("--to", help="The day or instant before which to stop.")] = None,
    group: Annotated[bool, typer.Option("--group", help="Show the groups of a meter one by one.")] = False,
    top: Annotated[
        int | None, typer.Option(min=1, help="So many largest customers of a merchant, by a meter or by events.")
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help=f"Rows at most; a table shows {TABLE_ROWS}.")] = None,
    json: Annotated[bool, typer.Option("--json", help="As one line of JSON: a list of rows.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="As CSV with a header.")] = False,
) -> None:
    """Show exact usage by minute, hour, day or month of any zone, or in total; or a merchant's largest customers."""
    if json and as_csv:
        raise Refused("format_unclear", "give --json or --csv, not both")
    whole = json or as_csv
    rows_max = top or limit or (ROWS_MAX if whole else TABLE_ROWS)
    hours = read_zone(zone)
    question = UsageQuestion(
        grain=by if top is None else "total",
        zone=zone,
        by_group=group,
        since=read_instant(from_, zone) if from_ else EARLIEST,
        until=read_instant(to, zone) if to else LATEST,
        subjects=tuple(customer or ()),
        meters=tuple(meter or ()),
        # One row more than is shown tells whether there are more.
        limit=rows_max if whole else rows_max + 1,
    )
    if top is None:
        found, codes, until = ask(question, merchant)
        rows = [shown(row, codes, hours, by, group) for row in found.iter_rows(named=True)]
    else:
        rows, until = ask_top(question, merchant)
    if whole:
        said = None if until is None else until.isoformat()
        rows = [row | {"complete_until": said} for row in rows]
    if json:
        sys.stdout.write(orjson.dumps(rows).decode() + "\n")
    elif as_csv:
        write_csv(rows, sys.stdout)
    else:
        print_table(rows, rows_max, question.grain, until)


@dataclass(frozen=True, slots=True)
class Reading:
    """A usage store, the merchants' codes by id, whose usage is asked for, and until when answers are complete."""

    store: UsageStore
    codes: dict[str, str]
    merchant_ids: tuple[str, ...]
    complete_until: datetime | None


def ask(question: UsageQuestion, merchant: str | None) -> tuple[pl.DataFrame, dict[str, str], datetime | None]:
    """The usage asked for, the merchants' codes by id, and until when it is complete, if that can be told.

    Raises ``Refused`` for an unknown merchant.
    """
    with reading(merchant) as at:
        found = usage_by(at.store, replace(question, merchant_ids=at.merchant_ids))
        return found, at.codes, at.complete_until


def ask_top(question: UsageQuestion, merchant: str | None) -> tuple[list[Row], datetime | None]:
    """A merchant's largest customers as rows, and until when that is complete; ``Refused`` where none can be meant."""
    if merchant is None or question.subjects or question.by_group or len(question.meters) > 1:
        raise Refused("top_unclear", "--top goes with one --merchant, --from, --to and one --meter or none")
    meter = question.meters[0] if question.meters else None
    with reading(merchant) as at:
        asked = TopQuestion(at.merchant_ids[0], meter, question.since, question.until, question.limit)
        found = TopCustomers(at.store).ask(asked)
        code = at.codes.get(at.merchant_ids[0], at.merchant_ids[0])
        return [shown_top(row, code, meter) for row in found.iter_rows(named=True)], at.complete_until


@contextmanager
def reading(merchant: str | None) -> Iterator[Reading]:
    """The stores, for one merchant or all; raises ``Refused`` for an unknown one."""
    settings = load_settings()
    with ExitStack() as opened:
        books = open_books(settings)
        opened.callback(books.dispose)
        with transaction(books) as connection:
            codes = merchant_codes(connection)
            chosen = (merchant_id(connection, merchant, codes),) if merchant else ()
        # Before usage is read: what is promised now must be in it.
        log = look_at_log(open_admin(settings), settings.topic, SystemClock())
        with transaction(books) as connection:
            until = complete_until(connection, settings.topic, log)
        store = open_usage_store(settings)
        opened.callback(store.close)
        yield Reading(store, codes, chosen, until)


def merchant_codes(connection: Connection) -> dict[str, str]:
    """The codes of all merchants by their ids."""
    found = connection.execute(select(merchants.c.merchant_id, merchants.c.code))
    return {row.merchant_id: row.code for row in found}


def merchant_id(connection: Connection, named: str, codes: dict[str, str]) -> str:
    """The id of a merchant named by id or code; raises ``Refused`` for an unknown one."""
    return named if named in codes else find_merchant(connection, named)


def read_zone(name: str) -> ZoneInfo:
    """A zone of the IANA database; raises ``Refused`` for any other name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused("zone_unknown", f"{name!r} is no zone of the IANA database, such as Europe/Berlin") from error


def read_instant(text: str, zone: str) -> datetime:
    """A day (its first instant in the zone) or an instant (in the zone, unless it says another)."""
    try:
        if len(text) == len("2023-11-01"):
            return day_start(date.fromisoformat(text), zone)
        instant = datetime.fromisoformat(text)
    except ValueError as error:
        raise Refused("time_unreadable", f"{text!r} is neither a day nor an instant of ISO 8601") from error
    return instant if instant.tzinfo else instant.replace(tzinfo=ZoneInfo(zone))


def shown(row: Row, codes: dict[str, str], hours: ZoneInfo, by: Grain, group: bool) -> Row:
    """One row as people and programs read it: names for ids, local time, and quantities as text."""
    quantity: Decimal = row["quantity"]
    start: datetime = row["starts_at"]
    return {
        "merchant": codes.get(row["merchant_id"], row["merchant_id"]),
        "customer": row["subject"],
        "meter": row["meter"],
        "aggregation": row["aggregation"],
        **({} if by == "total" else {"from": start.astimezone(hours).isoformat()}),
        **({"group": row["group_key"]} if group else {}),
        "events": row["events"],
        "quantity": plain_text(quantity),
    }


def shown_top(row: Row, merchant: str, meter: str | None) -> Row:
    """One of the largest customers; its quantity as text, where it is one of a meter."""
    of_meter = {"meter": meter, "aggregation": row.get("aggregation")} if meter else {}
    quantity = {"quantity": plain_text(row["quantity"])} if meter else {}
    return {"merchant": merchant, "customer": row["subject"], **of_meter, "events": row["events"], **quantity}


def write_csv(rows: list[Row], out: TextIO) -> None:
    """A header and one line a row; without rows, nothing."""
    if rows:
        writer = csv.DictWriter(out, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def print_table(rows: list[Row], rows_max: int, by: Grain, until: datetime | None) -> None:
    """A table of at most ``rows_max`` rows, until when it is complete, and a word if there are more or none."""
    # A pipe has no width of its own; folding to 80 columns would break numbers.
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    if not rows:
        console.print("No usage.")
        return
    table = Table(title=f"Usage by {by}" if by != "total" else "Usage")
    for name in rows[0]:
        numeric = name in {"events", "quantity"}
        table.add_column(name, justify="right" if numeric else "left", overflow="fold", no_wrap=numeric)
    for row in rows[:rows_max]:
        cells = (short_time(value) if name == "from" else str(value) for name, value in row.items())
        # Names come from outside: as Text they are shown, not read as markup.
        table.add_row(*map(Text, cells))
    console.print(table)
    if until is not None:
        console.print(f"Complete until {until:%Y-%m-%d %H:%M:%S} UTC: what was acknowledged before is in it.")
    if len(rows) > rows_max:
        console.print(f"The first {rows_max} rows. Ask for more with --limit, --json or --csv.")


def short_time(text: str) -> str:
    """An ISO time without what every bucket has: seconds, and the T between day and hour."""
    return datetime.fromisoformat(text).strftime("%Y-%m-%d %H:%M %z")
