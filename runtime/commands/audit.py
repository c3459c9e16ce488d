"""``millrace audit`` and ``millrace auditor``: hold every store against every other, now or on a schedule."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from datetime import datetime
from typing import Annotated, Any

import orjson
import typer
from rich.console import Console
from rich.text import Text

from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from core.logs import configure_logs
from runtime.audit.finding import Finding
from runtime.audit.keep import keep_report, last_reports
from runtime.audit.log import LogReader
from runtime.audit.mended import Mended
from runtime.audit.repair import repair
from runtime.audit.run import AuditParts, Report, audit
from runtime.audit.schedule import audit_for_ever
from runtime.commands.bars import counting_bar
from runtime.commands.usage import read_instant
from runtime.settings import load_settings, load_stack_settings
from runtime.stop_signals import stopping_event
from runtime.watcher import Watcher
from runtime.wiring import open_admin, open_books, open_usage_store

EXIT_DIFFERS = 1
SHOWN_MAX = 20
PIPED_WIDTH = 200


def audit_command(
    *,
    mend: Annotated[bool, typer.Option("--repair", help="Mend what can be proved, then audit again.")] = False,
    since: Annotated[str | None, typer.Option(help="Only blocks from this day or instant on.")] = None,
    last: Annotated[int, typer.Option("--last", min=0, help="Show the last so many results instead.")] = 0,
    json: Annotated[bool, typer.Option("--json", help="Say it as one line of JSON.")] = False,
) -> None:
    """Check that log, ledger, events, windows, charge lines and invoices tell the same story.

    Works on a running system. Ends with exit code 1 when something differs. Every result is kept.
    """
    start = read_instant(since, "UTC") if since else None
    with opened() as parts:
        if last:
            with transaction(parts.books) as connection:
                reports = last_reports(connection, parts.topic, last)
            if not reports:
                raise Refused("no_audit", "no audit was made yet: run 'millrace audit'", status=404)
            mended: list[Mended] = []
        else:
            reports, mended = run_audit(parts, start, mend=mend, quiet=json)
    if json:
        said = [as_json(report) for report in reports]
        sys.stdout.write(
            orjson.dumps(said if last else {**said[0], "repairs": list(map(mended_json, mended))}).decode()
        )
        sys.stdout.write("\n")
    else:
        for report in reports:
            show(report, mended)
    if not reports[0].ok:
        raise typer.Exit(EXIT_DIFFERS)


def run_audit(
    parts: AuditParts, since: datetime | None, *, mend: bool, quiet: bool
) -> tuple[list[Report], list[Mended]]:
    """Audit and keep the result; with ``mend`` repair and audit again, whose report is the one returned."""
    report = audit(parts, since)
    keep_report(parts.books, report)
    mended = run_repair(parts, report, quiet=quiet) if mend and not report.ok else []
    if mended:
        report = audit(parts, since)
        keep_report(parts.books, report)
    return [report], mended


def run_repair(parts: AuditParts, report: Report, *, quiet: bool) -> list[Mended]:
    """Mend what can be proved, with a bar on the terminal."""
    with counting_bar(quiet=quiet) as bar:
        task = bar.add_task("mending", total=None)
        watcher = Watcher(
            total=lambda repairs: bar.update(task, total=repairs), done=lambda some: bar.update(task, advance=some)
        )
        return repair(parts, report, watcher)


def auditor(
    every_s: Annotated[int | None, typer.Option("--every", min=1, help="Seconds from one audit to the next.")] = None,
) -> None:
    """Audit on a schedule until SIGTERM: what is new every few minutes, everything once a day."""
    configure_logs()
    stopping = stopping_event()
    with opened() as parts:
        audit_for_ever(parts, every_s or load_stack_settings().audit_every_s or 300, stopping)


@contextmanager
def opened() -> Iterator[AuditParts]:
    """The stores and the log of the running stack."""
    settings, clock = load_settings(), SystemClock()
    with ExitStack() as stack:
        books, store = open_books(settings), open_usage_store(settings)
        stack.callback(books.dispose)
        stack.callback(store.close)
        reader = LogReader(settings.kafka, open_admin(settings), settings.topic, clock)
        yield AuditParts(books, store, reader, settings.topic, clock)


def as_json(report: Report) -> dict[str, Any]:
    """A report for programs."""
    return {
        "run_id": report.run_id,
        "ok": report.ok,
        "topic": report.topic,
        "since": report.since and report.since.isoformat(),
        "cutoff": report.cutoff.isoformat(),
        "started_at": report.started_at.isoformat(),
        "finished_at": report.finished_at.isoformat(),
        "figures": report.figures,
        "notes": list(report.notes),
        "findings": [finding_json(finding) for finding in report.findings],
    }


def finding_json(finding: Finding) -> dict[str, Any]:
    """A finding for programs."""
    return {
        "code": finding.code,
        "message": finding.message,
        "merchant_id": finding.merchant_id or None,
        "place": dict(finding.place),
        "events": list(finding.events),
        "repair": finding.repair,
    }


def mended_json(mended: Mended) -> dict[str, Any]:
    """A repair for programs."""
    return {"kind": mended.kind, "place": mended.place, "done": mended.done, "message": mended.message}


def show(report: Report, mended: list[Mended]) -> None:
    """A report for people, the first difference first."""
    console = Console(width=None if sys.stdout.isatty() else PIPED_WIDTH, highlight=False)
    verdict = "[green]everything agrees[/]" if report.ok else f"[red]{len(report.findings)} differences[/]"
    console.print(f"[bold]audit {report.run_id}[/] until {report.cutoff:%Y-%m-%d %H:%M:%S} UTC: {verdict}")
    console.print("  " + ", ".join(f"{figure:,} {name.replace('_', ' ')}" for name, figure in report.figures.items()))
    for note in report.notes:
        console.print(Text(f"  note: {note}"))
    for one in mended:
        console.print(Text(f"  {'mended' if one.done else 'not mended'}: {one.message}"))
    for number, finding in enumerate(report.findings[:SHOWN_MAX], start=1):
        console.print(Text.assemble(f"  {number}. ", (finding.code, "bold"), f": {finding.message}"))
        if finding.events:
            console.print(Text(f"     events: {', '.join(finding.events)}"))
    if len(report.findings) > SHOWN_MAX:
        console.print(f"  and {len(report.findings) - SHOWN_MAX} more; --json lists all")
    if any(finding.repair for finding in report.findings):
        console.print("  some of it can be mended: millrace audit --repair")
