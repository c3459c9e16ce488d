"""``millrace usage`` over real books and a real usage store."""

from __future__ import annotations

import csv
import io
from decimal import Decimal

import orjson
import pytest
import typer
from sqlalchemy import Engine, insert
from typer.testing import CliRunner

from catalog.tables import merchants
from clickhouse.client import UsageStore
from core.clock import ManualClock
from core.db import transaction
from core.errors import Refused
from runtime.commands.usage import read_instant, usage
from tests.clickhouse.builders import at, window, windows_frame


@pytest.fixture(autouse=True)
def two_merchants(books: Engine, usage_store: UsageStore, stores_env: None, clock: ManualClock) -> None:
    """Acme's tokens over two days, and another merchant's one event."""
    rows = [{"merchant_id": f"mer_{n}", "code": code, "name": code, "created_at": clock.now()} for n, code in NAMED]
    with transaction(books) as connection:
        connection.execute(insert(merchants), rows)
    deltas = [
        window(meter="tokens", sum=Decimal("0.1"), group_key='{"model":"[bold]x"}'),
        window(meter="tokens", sum=Decimal("0.2"), group_key='{"model":"y"}', events=4),
        window(meter="tokens", sum=Decimal(18059974), window_start=at("2023-11-20T23:30:00")),
        window(meter="tokens", merchant_id="mer_2", sum=Decimal(7)),
    ]
    usage_store.insert_frame("usage_windows", windows_frame(deltas), token="w")


NAMED = ((1, "acme"), (2, "other"))


def run(*arguments: str) -> str:
    """What the command prints."""
    app = typer.Typer()
    app.command()(usage)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_a_merchants_days_are_exact_in_json() -> None:
    """Quantities are text, so that no reader makes floats of them."""
    rows = orjson.loads(run("--merchant", "acme", "--json"))

    assert rows == [
        {
            "merchant": "acme",
            "customer": "c-1",
            "meter": "tokens",
            "aggregation": "sum",
            "from": "2023-11-20T00:00:00+00:00",
            "events": 6,
            "quantity": "18059974.3",
            # Nobody answers for the log, and nothing was ever sealed.
            "complete_until": None,
        }
    ]


def test_days_are_those_of_the_zone() -> None:
    """Half past eleven at night in UTC is the next day in Berlin."""
    rows = orjson.loads(run("--merchant", "acme", "--zone", "Europe/Berlin", "--json"))
    later = orjson.loads(run("--merchant", "acme", "--zone", "Europe/Berlin", "--from", "2023-11-21", "--json"))

    assert [(row["from"], row["quantity"]) for row in rows] == [
        ("2023-11-20T00:00:00+01:00", "0.3"),
        ("2023-11-21T00:00:00+01:00", "18059974"),
    ]
    assert later == rows[1:]


def test_csv_has_a_header_and_groups_when_asked() -> None:
    """Every group is a row of its own."""
    rows = list(csv.DictReader(io.StringIO(run("--by", "total", "--group", "--merchant", "acme", "--csv"))))

    assert [(row["group"], row["events"], row["quantity"]) for row in rows] == [
        ("", "1", "18059974"),
        ('{"model":"[bold]x"}', "1", "0.1"),
        ('{"model":"y"}', "4", "0.2"),
    ]


def test_the_table_shows_names_as_they_are_and_says_when_there_is_more() -> None:
    """Brackets are not markup; a limit is announced."""
    shown = run("--group", "--by", "hour")
    cut = run("--limit", "1")

    assert "[bold]x" in shown
    assert "18059974" in shown
    assert "other" in shown
    assert "The first 1 rows" in cut


def test_the_largest_customers_come_first(usage_store: UsageStore) -> None:
    """By events, or by the quantity of a meter."""
    more = window(meter="tokens", customer_id="cus_2", subject="c-2", sum=Decimal(5), events=9)
    usage_store.insert_frame("usage_windows", windows_frame([more]), token="more")
    by_events = orjson.loads(run("--merchant", "acme", "--top", "2", "--json"))
    by_meter = orjson.loads(run("--merchant", "acme", "--top", "1", "--meter", "tokens", "--json"))
    table = run("--merchant", "acme", "--top", "1")

    assert [(row["customer"], row["events"]) for row in by_events] == [("c-2", 9), ("c-1", 6)]
    assert by_meter == [
        {
            "merchant": "acme",
            "customer": "c-1",
            "meter": "tokens",
            "aggregation": "sum",
            "events": 6,
            "quantity": "18059974.3",
            "complete_until": None,
        }
    ]
    assert "c-2" in table
    assert "The first 1 rows" in table


def test_nothing_used_is_said_in_words() -> None:
    """An empty answer is no empty table."""
    assert run("--customer", "nobody") == "No usage.\n"
    assert orjson.loads(run("--to", "2023-11-20", "--json")) == []


@pytest.mark.parametrize(
    ("arguments", "code"),
    [
        (["--merchant", "nobody"], "merchant_unknown"),
        (["--zone", "Mars/Base"], "zone_unknown"),
        (["--from", "yesterday"], "time_unreadable"),
        (["--json", "--csv"], "format_unclear"),
        (["--top", "3"], "top_unclear"),
    ],
)
def test_what_cannot_be_meant_is_refused(arguments: list[str], code: str) -> None:
    """With a code and a sentence, before anything is read."""
    with pytest.raises(Refused) as refused:
        run(*arguments)

    assert refused.value.code == code


def test_instants_are_read_in_the_zone_unless_they_name_one() -> None:
    """A day is its first instant in the zone."""
    assert read_instant("2023-11-01", "Europe/Berlin") == at("2023-10-31T23:00:00")
    assert read_instant("2023-11-01T10:30", "Asia/Kolkata") == at("2023-11-01T05:00:00")
    assert read_instant("2023-11-01T10:30Z", "Asia/Kolkata") == at("2023-11-01T10:30:00")
