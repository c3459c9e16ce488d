"""``millrace import``: bring usage in from a file."""

from __future__ import annotations

import os
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from core.clock import SystemClock
from core.errors import Refused
from runtime.bring_in.mapping import make_mapping
from runtime.bring_in.row import RowFailure
from runtime.bring_in.run import Door, Outcome, Watcher, bring_in
from runtime.commands.bars import share_bar
from runtime.settings import home_of, read_endpoints

# Some rows failed; all others are in.
EXIT_ROWS_FAILED = 3
SHOWN_MAX = 20


def import_usage(
    file: Annotated[Path, typer.Argument(help="CSV with a header, NDJSON or Parquet.")],
    *,
    type_: Annotated[str, typer.Option("--type", help="The events' type, or a SKU's code.")],
    time: Annotated[str, typer.Option(help="The column that says when it happened.")],
    subject: Annotated[str | None, typer.Option(help="The customer whose usage all rows are.")] = None,
    subject_column: Annotated[str | None, typer.Option(help="The column that names the customer.")] = None,
    value: Annotated[str | None, typer.Option(help="The column with the amount of a SKU.")] = None,
    property_: Annotated[list[str] | None, typer.Option("--property", help="A column to send, or NAME=COLUMN.")] = None,
    source: Annotated[str, typer.Option(help="The events' source; with their ids it tells them apart.")] = "import",
    zone: Annotated[str, typer.Option(help="The zone of times that name none, such as Europe/Berlin.")] = "UTC",
    format_: Annotated[str | None, typer.Option("--format", help="csv, ndjson or parquet; else by name.")] = None,
    delimiter: Annotated[str, typer.Option(help="What stands between the fields of a CSV.")] = ",",
    key: Annotated[str | None, typer.Option(help="The API key; else MILLRACE_API_KEY.")] = None,
    gateway: Annotated[str | None, typer.Option(help="The gateway's address; that of the running stack.")] = None,
    batch: Annotated[int, typer.Option(min=1, max=10_000, help="Rows a request.")] = 1_000,
    connections: Annotated[int, typer.Option(min=1, max=64, help="Requests in flight.")] = 4,
    backfill: Annotated[bool, typer.Option(help="Allow events older than the gateway's usual limit.")] = True,
    failures: Annotated[Path | None, typer.Option(help="Write every failed row to this file, as NDJSON.")] = None,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Send every row of FILE as an event through the gateway's door.

    Importing the same file again adds nothing: an event's id comes from the file's bytes, the type and the row. An
    import that was cut off goes on where it stopped. Ends with exit code 3 when rows failed; they are listed.
    """
    mapping = make_mapping(
        type_=type_,
        time=time,
        subject=subject,
        subject_column=subject_column,
        value=value,
        properties=tuple(property_ or ()),
        source=source,
        zone=zone,
    )
    if len(delimiter) != 1:
        raise Refused("delimiter_invalid", "a delimiter is one character")
    home = home_of(os.environ)
    door = Door(gateway_url(home, gateway), api_key(key), backfill, batch, connections)
    with share_bar(quiet=json) as bar, FailureFile(failures) as written:
        task = bar.add_task(file.name, total=1.0, rows=0)
        watcher = Watcher(lambda share, rows: bar.update(task, completed=share, rows=rows), written.write)
        outcome = bring_in(
            file, mapping, door, home, SystemClock(), format_=format_, delimiter=delimiter, watcher=watcher
        )
        bar.update(task, completed=1.0)
    tell(outcome, failures, as_one_line=json)
    if outcome.failed:
        raise typer.Exit(EXIT_ROWS_FAILED)


def gateway_url(home: Path, given: str | None) -> str:
    """The gateway's address: as given, from the environment, or that of the running stack."""
    url = given or os.environ.get("MILLRACE_GATEWAY_URL") or read_endpoints(home).get("gateway_url")
    if not url:
        raise Refused("no_gateway", f"no stack is running in {home}: start one with 'millrace up', or give --gateway")
    return url.rstrip("/")


def api_key(given: str | None) -> str:
    """The API key: as given, or from the environment, where other users of the machine cannot see it."""
    key = given or os.environ.get("MILLRACE_API_KEY")
    if not key:
        raise Refused("no_key", "set MILLRACE_API_KEY to a key of 'millrace keys create', or give --key")
    return key


class FailureFile:
    """A file for failed rows, opened only when one was asked for."""

    def __init__(self, path: Path | None) -> None:
        self._file = path.open("wb") if path else None

    def __enter__(self) -> FailureFile:
        return self

    def __exit__(self, *_error: object) -> None:
        if self._file:
            self._file.close()

    def write(self, failure: RowFailure) -> None:
        """Add one row."""
        if self._file:
            self._file.write(orjson.dumps(asdict(failure)) + b"\n")


def tell(outcome: Outcome, failures: Path | None, *, as_one_line: bool) -> None:
    """Say what came of the rows."""
    if as_one_line:
        print(orjson.dumps(as_json(outcome)).decode())
        return
    console = Console(highlight=False, soft_wrap=True)
    if outcome.resumed_after_row:
        console.print(f"went on after row {outcome.resumed_after_row:,}, where an earlier import had stopped")
    console.print(f"[bold]{outcome.accepted:,} rows accepted[/], {outcome.failed:,} failed, {outcome.seconds:.1f} s")
    for failure in outcome.failures[:SHOWN_MAX]:
        console.print(Text(f"  row {failure.row:,}: {failure.message} ({failure.code})"))
    hidden = outcome.failed_by_code.total() - SHOWN_MAX
    if hidden > 0:
        where = f"all are in {failures}" if failures else "--failures FILE writes all"
        console.print(f"  … and {hidden:,} more {dict(outcome.failed_by_code)}; {where}")


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The outcome for programs; at most a thousand failures are listed."""
    return {
        "rows": outcome.rows,
        "resumed_after_row": outcome.resumed_after_row,
        "accepted": outcome.accepted,
        "failed": outcome.failed,
        "failed_by_code": dict(outcome.failed_by_code),
        "failures": [asdict(failure) for failure in sorted(outcome.failures, key=lambda failure: failure.row)],
        "seconds": round(outcome.seconds, 3),
    }
