"""The commands ``millrace close``, ``millrace invoices`` and ``millrace invoice``."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import orjson
import pytest
import typer
from confluent_kafka import Producer
from sqlalchemy import Engine, text
from typer.testing import CliRunner, Result

from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Conflict, Refused
from runtime.commands.close import EXIT_PARKED, close
from runtime.commands.invoice import invoice
from runtime.commands.invoices import invoices
from runtime.embedded.endpoints import Endpoints
from tests.rating.blocks import block_of, merchant_of, put_block
from tests.rating.month import PERIOD, Month, merchant_yaml
from tests.streams.builders import Said

TIERED = """merchant: {code: birch, name: Birch}
meters:
  - {code: calls, event_type: call, aggregation: count}
plans:
  - code: tiered
    name: Tiered
    currency: JPY
    prices:
      - meter: calls
        model: graduated
        tiers: [{up_to: 10, unit_price: "2", flat_price: "100"}, {up_to: null, unit_price: "0.5"}]
customers:
  - {key: b-1, name: One, zone: UTC, currency: JPY}
subscriptions:
  - {customer: b-1, plan: tiered, start: 2023-11-01}
"""


@pytest.fixture
def month(books: Engine, usage_store: UsageStore, stack_env: None, monkeypatch: pytest.MonkeyPatch) -> Month:
    """Acme with the token counts of a real trace; the commands' settings point at its stores and an empty log."""
    monkeypatch.setenv("COLUMNS", "120")
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["code", "idle"]))
    made.use("code", "context_tokens", 18_000_000, 59_974)
    made.use("code", "generated_tokens", 245_896)
    return made


def run(*arguments: str) -> Result:
    """Run one of the three commands."""
    app = typer.Typer()
    for command in (close, invoices, invoice):
        app.command()(command)
    return CliRunner().invoke(app, list(arguments), catch_exceptions=False)


def said(*arguments: str) -> Any:
    """What a command says as JSON."""
    return orjson.loads(run(*arguments, "--json").stdout)


def test_a_month_is_closed_and_closing_again_says_so(month: Month) -> None:
    """Both times the same invoices are there."""
    first = run("close", "--period", PERIOD)
    before = run("invoices", "--json").stdout

    again = run("close", "--period", PERIOD)

    assert (first.exit_code, again.exit_code) == (0, 0)
    assert "2023-11 closed at the cut-off" in first.stdout
    assert "2023-11 is already closed" in again.stdout
    assert "1 finalized  47.61 USD" in again.stdout
    assert run("invoices", "--json").stdout == before


def test_a_dry_run_shows_what_would_be(month: Month) -> None:
    """The total is there; the invoice is not."""
    printed = run("close", "--period", PERIOD, "--dry-run").stdout

    assert "nothing was written" in printed
    assert "47.61 USD" in printed
    assert run("invoices", "--json").stdout == ""


def test_the_outcome_is_told_as_json(month: Month) -> None:
    """Counts, totals and parked subscriptions, for programs."""
    outcome = said("close", "--period", PERIOD)

    cutoff = outcome.pop("cutoff")
    assert cutoff.endswith("+00:00")
    assert outcome == {
        "period": PERIOD,
        "dry_run": False,
        "already_closed": 0,
        "not_ended": 0,
        "waiting": [],
        "drafted": 1,
        "skipped": 1,
        "finalized": 1,
        "parked": [],
        "corrected": [],
        "adjusted": [],
        "not_adjusted": [],
        "incomplete": [],
        "late": {"events": 0, "subscriptions": 0, "usage": []},
        "new": [
            {"state": "draft", "count": 1, "currency": "USD", "total": "47.61"},
            {"state": "skipped", "count": 1, "currency": "USD", "total": "0.00"},
        ],
        "invoices": [
            {"state": "finalized", "count": 1, "currency": "USD", "total": "47.61"},
            {"state": "skipped", "count": 1, "currency": "USD", "total": "0.00"},
        ],
    }


def test_parked_subscriptions_are_listed_with_an_exit_code_of_their_own(month: Month) -> None:
    """The reason and the customer are named; everybody else is billed."""
    month.sell(merchant_yaml("dear", ["d-1"]).replace("0.0000025", "999999999999"))
    month.use("d-1", "context_tokens", 1_000_000)

    done = run("close", "--period", PERIOD)

    assert done.exit_code == EXIT_PARKED
    assert "1 parked" in done.stdout
    assert "context_tokens: the amount does not fit 14 digits" in done.stdout.replace("\n", " ")
    assert "47.61 USD" in done.stdout


def test_a_month_that_is_none_is_refused(month: Month) -> None:
    """The command raises what the command line turns into a sentence and an exit code."""
    with pytest.raises(Refused, match="not a month"):
        run("close", "--period", "2023-13")


def test_an_invoice_is_listed_and_shown_with_its_lines(month: Month) -> None:
    """By its number, with rounded amounts and the total."""
    run("close", "--period", PERIOD)

    listed = run("invoices", "--merchant", "acme").stdout
    shown = run("invoice", "ACME-000001").stdout

    assert "ACME-000001" in listed
    assert "47.61 USD" in listed
    for words in ("acme to code", "18,059,974", "45.15 USD", "2.46 USD", "47.61 USD"):
        assert words in shown


def test_an_explanation_shows_exact_numbers_and_their_evidence(month: Month) -> None:
    """Arithmetic, both amounts, the hash, the cut-off and the windows."""
    run("close", "--period", PERIOD)

    shown = run("invoice", "ACME-000001", "--explain").stdout

    for words in (
        "18059974 × 0.0000025 = 45.149935",
        "245896 × 0.00001 = 2.45896",
        "45.15 USD, half away from zero (worked out again: agrees)",
        "catalog version 1",
        "cut-off",
        "sha256",
        "2 events in 2 windows of meter context_tokens (sum)",
        "2023-11-20 12:01       1 events            59,974",
    ):
        assert words in shown


def test_an_explanation_as_json_holds_every_window(month: Month) -> None:
    """The windows behind a line add up to its quantity."""
    run("close", "--period", PERIOD)

    line = said("invoice", "ACME-000001", "--explain")["lines"][0]

    assert (line["unrounded"], line["amount"], line["explanation"]["agrees"]) == ("45.149935", "45.15", True)
    assert line["explanation"]["input_hash_agrees"] is True
    assert [window["quantity"] for window in line["explanation"]["windows"]] == ["18000000", "59974"]


def test_tiers_are_explained_one_by_one_in_the_plans_currency(month: Month) -> None:
    """Yen have no hundredths; the tiers add up to the unrounded amount, which is rounded once."""
    month.sell(TIERED)
    month.use("b-1", "calls", *[1] * 13)
    run("close", "--period", PERIOD, "--merchant", "birch")

    shown = run("invoice", "BIRCH-000001", "--explain").stdout

    for words in ("0 to 10", "10 × 2 + 100 = 120", "3 × 0.5 = 1.5", "120 + 1.5 = 121.5", "122 JPY, half away"):
        assert words in shown


def test_messages_that_nobody_stored_are_refused_by_their_offsets(
    month: Month, endpoints: Endpoints, topic: str
) -> None:
    """What lies in the log is waited for; whoever closes all the same is told again what lacks."""
    producer = Producer({"bootstrap.servers": endpoints.kafka, "linger.ms": 200, "log_level": 2})
    for _ in range(3):
        producer.produce(topic, b"an envelope", partition=1)
    producer.flush(10)

    with pytest.raises(Conflict, match="partition 1: offsets 0 to 2 of the log are not stored yet") as caught:
        run("close", "--period", PERIOD, "--wait", "0.3")
    dry = run("close", "--period", PERIOD, "--wait", "0", "--dry-run").stdout
    closed = said("close", "--period", PERIOD, "--wait", "0", "--even-if-incomplete")

    assert caught.value.code == "period_not_complete"
    assert "a close would be refused" in dry
    assert closed["finalized"] == 1
    assert [
        (gap["code"], gap["partition"], gap["first_offset"], gap["last_offset"]) for gap in closed["incomplete"]
    ] == [("not_consumed", 1, 0, 2)]


def test_lines_that_were_corrected_say_by_how_much(month: Month) -> None:
    """A block that was stored twice is billed once, and nobody has to find out for himself."""
    event = Said(
        "x", {"ContextTokens": "400000", "GeneratedTokens": "0"}, "llm.request", "idle", merchant_of(month, "idle")
    )
    block = block_of(month, [event])
    put_block(month, block)
    put_block(month, block)

    outcome = said("close", "--period", PERIOD, "--dry-run")
    printed = run("close", "--period", PERIOD).stdout

    (line,) = [row for row in outcome["corrected"] if row["meter"] == "context_tokens"]
    assert (line["subject"], line["windows_said"], line["quantity"], line["correction"]) == (
        "idle",
        "800000",
        "400000",
        "-400000",
    )
    assert "idle, context_tokens: 400000, where the windows say 800000" in printed
    assert [
        (row["number"], row["total"]) for row in map(orjson.loads, run("invoices", "--json").stdout.splitlines())
    ] == [
        ("ACME-000001", "47.61"),
        ("ACME-000002", "1.00"),
    ]


def test_late_usage_is_told_and_changes_nothing(month: Month) -> None:
    """Which subscription, how many events; the invoice stays as it was."""
    run("close", "--period", PERIOD)
    before = run("invoices", "--json").stdout
    with transaction(month.books) as connection:
        cutoff = connection.execute(text("SELECT max(cutoff) FROM charge_lines")).scalar_one()
    month.use("code", "context_tokens", 1, 2, stored_at=cutoff + timedelta(minutes=1))

    printed = run("close", "--period", PERIOD).stdout
    late = said("close", "--period", PERIOD)["late"]

    assert "2 events came late, for 1 subscriptions: no invoice was changed" in printed
    assert "context_tokens: 2 events" in printed
    assert (late["events"], late["subscriptions"], late["usage"][0]["subject"]) == (2, 1, "code")
    assert run("invoices", "--json").stdout == before
