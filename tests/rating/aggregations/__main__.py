"""``python -m tests.rating.aggregations --events 3000000``: every aggregation against plain decimals."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from time import monotonic, process_time
from typing import Annotated

import typer

from clickhouse.client import open_usage_store
from clickhouse.migrate import migrate
from core.db import open_engine
from migrations.apply import upgrade
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.stack import embedded_parts, endpoints
from runtime.embedded.supervisor import Supervisor
from tests.rating.aggregations.check import SHOWN, Compared, check
from tests.rating.month import Month

EXIT_DIFFERENT = 1


def main(
    *,
    events: Annotated[int, typer.Option(help="Events sent, copies and refused ones included.")] = 3_000_000,
) -> None:
    """Send, bill, ask and compare; exit code 1 when any answer differs."""
    begun_s = monotonic()

    def say(step: str) -> None:
        sys.stdout.write(f"{monotonic() - begun_s:7.1f} s, {process_time():6.1f} s of CPU here: {step}\n")
        sys.stdout.flush()

    with tempfile.TemporaryDirectory(prefix="millrace-aggregations-") as folder:
        home, ports = Path(folder), EmbeddedPorts.free()
        with Supervisor(home / "stack") as supervisor:
            supervisor.start(embedded_parts(home / "stack", ports, frozenset({"kafka"})))
            found = endpoints(home / "stack", ports)
            books, store = open_engine(found.postgres_url), open_usage_store(found.clickhouse_url)
            upgrade(books)
            migrate(store)
            say("engines are up")
            compared, _expected = check(Month(books, store), home, events, say)
            store.close()
            books.dispose()
    tell(compared)
    raise typer.Exit(EXIT_DIFFERENT if compared.differences else 0)


def tell(compared: Compared) -> None:
    """What was compared, and what differs."""
    for kind, answers in compared.answers.items():
        sys.stdout.write(f"{kind:24} {answers:8,} answers, {compared.used[kind]:8,} of them not 0\n")
    for difference in compared.differences[:SHOWN]:
        sys.stdout.write(f"DIFFERS: {difference}\n")
    sys.stdout.write(f"{sum(compared.answers.values()):,} answers compared, {len(compared.differences):,} differ\n")


if __name__ == "__main__":
    typer.run(main)
