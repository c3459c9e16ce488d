"""``millrace close``: rate a month that has ended and write its invoices."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import orjson
import typer
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn

from core.clock import Clock, SystemClock
from core.db import transaction
from core.logs import configure_logs
from invoicing.find import Filter, total_invoices
from rating.completeness import Gap
from runtime.close import Completeness, close_books
from runtime.commands.close_outcome import as_json, parked_rows, show
from runtime.completeness import OnWait, Stream
from runtime.read_to_end import read_ends
from runtime.settings import Settings, load_settings, read_endpoints
from runtime.stack import journal_dir
from runtime.wiring import open_admin, open_books, open_usage_store

# Some subscriptions could not be billed; everything else was.
EXIT_PARKED = 3
STEPS = {
    "drain": "waiting for the stream",
    "freeze": "fixing the cut-off",
    "prices": "loading what is due",
    "adjust": "looking at late usage of earlier months",
    "claim": "claiming the run",
    "dedupe": "loading usage, looking for copies",
    "rate": "rating",
    "record": "writing charge lines and drafts",
    "finalize": "numbering invoices",
    "late": "looking for late usage",
}


def close(
    *,
    period: Annotated[str, typer.Option(help="The month in which the periods to close begin, such as 2023-11.")],
    merchant: Annotated[str | None, typer.Option(help="Only this merchant, by its code.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Work everything out and write nothing.")] = False,
    wait: Annotated[float, typer.Option(min=0, help="Seconds to wait for the stream to store what it has.")] = 30,
    even_if_incomplete: Annotated[
        bool, typer.Option("--even-if-incomplete", help="Close although usage is known to be missing, and record it.")
    ] = False,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Rate every subscription whose monthly period began in PERIOD and has ended, and write its invoice.

    Safe to run twice, and to run again after it was killed: nothing is billed a second time. Waits until all that was
    accepted so far is stored, and refuses to close over a hole. Ends with exit code 3 when subscriptions were parked;
    they are listed, and billed by the next close once their reason is gone.
    """
    configure_logs("WARNING")
    settings = load_settings()
    with ExitStack() as opened:
        books = open_books(settings)
        opened.callback(books.dispose)
        store = opened.enter_context(closing(open_usage_store(settings)))
        shown = opened.enter_context(progress(quiet=json))
        clock = SystemClock()
        stream = stream_of(settings, clock)
        closed = close_books(
            books,
            store,
            clock,
            period,
            merchant=merchant,
            commit=not dry_run,
            completeness=Completeness(stream, wait, even_if_incomplete, shown.on_wait),
            on_step=shown.on_step,
        )
        with transaction(books) as connection:
            totals = total_invoices(connection, Filter(merchant, period))
    if json:
        print(orjson.dumps(as_json(period, closed, totals, dry_run)).decode())
    else:
        show(period, closed, totals, dry_run)
    if parked_rows(closed):
        raise typer.Exit(EXIT_PARKED)


def stream_of(settings: Settings, clock: Clock) -> Stream:
    """The stream whose events are billed."""
    admin = open_admin(settings)
    return Stream(
        settings.topic,
        lambda: read_ends(settings.kafka, admin, settings.topic, clock),
        journal_of(settings),
    )


def journal_of(settings: Settings) -> Path | None:
    """The journal of the gateway: as the environment says, or that of the stack that runs here."""
    if settings.journal_dir is not None:
        return settings.journal_dir
    folder = journal_dir(settings.home)
    runs_here = read_endpoints(settings.home).get("kafka") == settings.kafka
    return folder if runs_here and folder.is_dir() else None


@dataclass(frozen=True, slots=True)
class Shown:
    """Who hears of a close as it goes."""

    on_step: Callable[[str], None]
    on_wait: OnWait


@contextmanager
def progress(*, quiet: bool) -> Iterator[Shown]:
    """A bar on the terminal's error stream that moves on with every step, and says what is waited for."""
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=Console(stderr=True), transient=True, disable=quiet) as bar:
        task = bar.add_task("closing", total=len(STEPS))

        def on_step(step: str) -> None:
            bar.update(task, description=STEPS[step], completed=list(STEPS).index(step))

        def on_wait(gaps: tuple[Gap, ...]) -> None:
            more = f" (and {len(gaps) - 1} more)" if len(gaps) > 1 else ""
            bar.update(task, description=f"waiting: {gaps[0].message}{more}")

        yield Shown(on_step, on_wait)
