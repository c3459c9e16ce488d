"""Closes under faults: the books killed between two batches, prices changed meanwhile, late events, two at once."""

from __future__ import annotations

import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
from sqlalchemy import Engine, event, text

from clickhouse.client import UsageStore
from core.db import open_engine, transaction
from core.errors import Conflict, Transient
from invoicing.find import Filter, find_invoice, list_invoices
from invoicing.invoice import invoice_json
from migrations.apply import upgrade
from runtime.embedded.ports import free_port
from runtime.embedded.postgres import postgres_part, postgres_url
from runtime.embedded.supervisor import Supervisor
from runtime.embedded.watched import State
from tests.rating.month import PERIOD, Month, merchant_yaml
from tests.runtime.embedded.test_supervisor import within

MERCHANTS = ("acme", "birch", "coral")
DEAR = ("0.0000025", "0.25")
MORE = (
    "plans:",
    """  - {code: calls, event_type: call, aggregation: count}
plans:
  - {code: other, name: Other, currency: USD, prices: [{meter: calls, model: per_unit, unit_price: "9"}]}""",
)
LOCKS = """
    SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'
        AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
"""
CLOSE = """
import sys
from core.clock import ManualClock
from core.db import open_engine
from core.errors import Conflict
from clickhouse.client import open_usage_store
from runtime.close import close_books
from tests.rating.month import AFTER, PERIOD

books, store = open_engine(sys.argv[1]), open_usage_store(sys.argv[2])
print("ready", flush=True)
sys.stdin.readline()
try:
    closed = close_books(books, store, ManualClock(AFTER), PERIOD, on_step=lambda step: None)
except Conflict as conflict:
    print(conflict.code)
else:
    print("closed", closed.finalized)
"""


class Books:
    """A Postgres of the test's own, to be killed."""

    def __init__(self, home: Path) -> None:
        self.port = free_port()
        self.url = postgres_url(home, self.port)
        self.supervisor = Supervisor(home)
        self.home = home

    def kill(self) -> None:
        """SIGKILL to the server and all its children."""
        server = psutil.Process(self.supervisor.status()[0].pid)
        for process in [server, *server.children(recursive=True)]:
            with suppress(psutil.NoSuchProcess):
                process.kill()

    def wait(self, restarts: int) -> None:
        """Until it has been started again so many times."""

        def is_back() -> bool:
            status = self.supervisor.status()[0]
            return status.restarts == restarts and status.state is State.READY

        assert within(30, is_back)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[Books]:
    """A migrated Postgres that nobody else uses."""
    books = Books(tmp_path)
    with books.supervisor:
        books.supervisor.start([postgres_part(tmp_path, books.port)])
        upgrade(books.url)
        yield books


def sold(books: Engine, store: UsageStore) -> Month:
    """Three merchants with one customer each, who used something."""
    month = Month(books, store)
    for code in MERCHANTS:
        month.sell(merchant_yaml(code, [f"{code}-1"]))
        month.use(f"{code}-1", "context_tokens", 1_000_000)
    return month


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """The same on the stores that all tests share."""
    return sold(books, usage_store)


def rows(month: Month, sql: str) -> list[tuple[Any, ...]]:
    """The rows of a query on the books."""
    with transaction(month.books) as connection:
        return [tuple(row) for row in connection.execute(text(sql))]


def invoices(month: Month) -> list[dict[str, Any]]:
    """Every invoice with its lines, as programs read it."""
    with transaction(month.books) as connection:
        found = list_invoices(connection, Filter(period=PERIOD), 100)
        return [invoice_json(find_invoice(connection, header.invoice_id)) for header in found]


def hashes(month: Month) -> list[tuple[Any, ...]]:
    """What every line was made from, and what it came to."""
    return rows(month, "SELECT subject, meter, input_hash, amount FROM charge_lines ORDER BY 1, 2")


def before_commit(engine: Engine, step: str, number: int, strike: Callable[[], None]) -> Callable[[str], None]:
    """Have ``strike`` called just before the ``number``-th commit of a step; returns what to call with each step."""
    steps: list[str] = []
    commits: list[str] = []

    @event.listens_for(engine, "commit")
    def on_commit(_connection: object) -> None:
        commits.extend(steps[-1:])
        if steps and steps[-1] == step and commits.count(step) == number:
            strike()

    return steps.append


@pytest.mark.parametrize(
    ("step", "commit", "finalized", "left"),
    [("claim", 1, 0, 0), ("record", 1, 0, 0), ("finalize", 2, 0, 3), ("finalize", 3, 1, 2), ("finalize", 4, 2, 1)],
)
def test_books_killed_before_any_commit_leave_no_half_invoice(
    own: Books, usage_store: UsageStore, *, step: str, commit: int, finalized: int, left: int
) -> None:
    """Postgres dies by SIGKILL between two batches; whole invoices are there or none, and the next close ends it."""
    books = open_engine(own.url)
    month = sold(books, usage_store)
    with pytest.raises(Transient):
        month.close(on_step=before_commit(books, step, commit, own.kill))
    own.wait(restarts=1)
    states = dict(rows(month, "SELECT state, count(*) FROM invoices GROUP BY 1"))
    assert (states.get("finalized", 0), states.get("draft", 0)) == (finalized, left)
    for found in invoices(month):
        assert sum(line["amount_minor"] for line in found["lines"]) == found["total_minor"] == 250
    cutoffs = rows(month, "SELECT DISTINCT cutoff FROM rating_runs")

    month.close()

    assert [one["number"] for one in sorted(invoices(month), key=lambda one: one["subject"])] == [
        f"{code.upper()}-000001" for code in MERCHANTS
    ]
    counts = "(SELECT count(*) FROM outbox), (SELECT count(*) FROM charge_lines), (SELECT count(*) FROM rating_runs)"
    assert rows(month, f"SELECT {counts}") == [(3, 6, 3)]
    assert rows(month, "SELECT DISTINCT cutoff FROM rating_runs")[: len(cutoffs)] == cutoffs
    books.dispose()


def test_a_price_changed_during_a_close_is_not_seen_by_it(month: Month) -> None:
    """The catalog's version was fixed with the cut-off: amounts, hashes and the version on the lines are of then."""
    month.close(commit=False)
    ((version,),) = rows(month, "SELECT version FROM catalog_version")

    def make_dear(step: str) -> None:
        if step in {"claim", "dedupe", "rate", "record"}:
            month.sell(merchant_yaml("acme", ["acme-1"]).replace(DEAR[0], f"0.2{len(step)}"))

    month.close(on_step=make_dear)

    assert {one["total"] for one in invoices(month)} == {"2.50"}
    assert rows(month, "SELECT DISTINCT catalog_version FROM charge_lines") == [(version,)]
    assert rows(month, "SELECT version FROM catalog_version")[0][0] > version


def test_a_price_changed_between_a_crash_and_its_end_is_not_seen_either(month: Month) -> None:
    """Whoever finishes the run has the lines that it would have had."""

    def die(step: str) -> None:
        if step == "rate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        month.close(on_step=die)
    month.sell(merchant_yaml("acme", ["acme-1"]).replace(*DEAR))

    month.close()

    assert {one["total"] for one in invoices(month)} == {"2.50"}


def test_a_plan_edited_after_the_close_changes_no_invoice(month: Month) -> None:
    """What was billed cannot get another price, what is added is not billed for the past, and nothing is due again."""
    month.close()
    before, lines = invoices(month), hashes(month)
    with pytest.raises(Conflict, match="billed"):
        month.sell(merchant_yaml("acme", ["acme-1"]).replace(*DEAR))
    month.sell(merchant_yaml("acme", ["acme-1"]).replace(*MORE))

    again = month.close()

    assert (invoices(month), hashes(month)) == (before, lines)
    assert again.closing.lines.height == 0


def test_late_usage_leaves_the_invoice_as_it_is_and_is_told(month: Month) -> None:
    """Which subscription, which meter, how many events, from when; a close of one merchant tells of that one."""
    month.close()
    before = invoices(month)
    ((cutoff,),) = rows(month, "SELECT DISTINCT cutoff FROM charge_lines")
    assert month.close().late.is_empty()
    month.use("birch-1", "generated_tokens", 5, 6, 7, stored_at=cutoff + timedelta(seconds=1))
    month.use("birch-1", "generated_tokens", 5, at=cutoff, stored_at=cutoff + timedelta(seconds=1))

    again = month.close()

    assert invoices(month) == before
    assert again.late.select("subject", "meter", "events").rows() == [("birch-1", "generated_tokens", 3)]
    assert again.late["cutoff"].to_list() == [cutoff]
    assert month.close(merchant="acme").late.is_empty()
    assert month.close(merchant="birch", commit=False).late.height == 1


def start(postgres_url: str, clickhouse_url: str) -> subprocess.Popen[str]:
    """A close in a process of its own, which waits for a line before it begins."""
    command = [sys.executable, "-c", CLOSE, postgres_url, clickhouse_url]
    process = subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]
    )
    assert process.stdout
    assert process.stdout.readline() == "ready\n"
    return process


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_a_close_killed_at_a_random_instant_comes_to_the_same_lines(
    month: Month, postgres_url: str, clickhouse_url: str, seed: int
) -> None:
    """SIGKILL some milliseconds in; what the next close writes has the amounts and hashes of a dry run before."""
    dry = month.close(commit=False).closing.lines.sort("subject", "meter")
    process = start(postgres_url, clickhouse_url)
    assert process.stdin
    process.stdin.write("\n")
    process.stdin.flush()
    with suppress(subprocess.TimeoutExpired):
        process.wait(random.Random(seed).uniform(0.02, 1.5))
    process.kill()
    process.communicate()

    # Postgres notices within a moment that the dead one's connection, and with it the lock, is gone.
    assert within(10, lambda: rows(month, LOCKS) == [(0,)])
    month.close()

    assert hashes(month) == dry.select("subject", "meter", "input_hash", "amount").rows()
    assert [one["number"] for one in invoices(month)].count(None) == 0
    assert rows(month, "SELECT count(*), count(DISTINCT event_key) FROM outbox") == [(3, 3)]


def test_of_two_processes_that_close_at_once_each_invoice_comes_from_one(
    month: Month, postgres_url: str, clickhouse_url: str
) -> None:
    """The other is refused, or finds nothing due."""
    processes = [start(postgres_url, clickhouse_url) for _ in range(2)]
    for process in processes:
        assert process.stdin
        process.stdin.write("\n")
        process.stdin.flush()

    said = sorted(process.communicate(timeout=60)[0].strip() for process in processes)

    assert said in (["close_running", "closed 3"], ["closed 0", "closed 3"]), said
    assert rows(month, "SELECT count(*) FROM charge_lines") == [(6,)]
    assert rows(month, "SELECT count(*), count(DISTINCT number) FROM invoices WHERE number IS NOT NULL") == [(3, 3)]
