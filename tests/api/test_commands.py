"""``millrace event`` and ``millrace events`` over the same functions as the API."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from core.errors import Refused
from runtime.commands.event import event
from runtime.commands.events import events
from tests.api.conftest import TOPIC, Stream
from tests.api.test_event_fate import Merchants, said
from tests.api.test_list_events import wait_until_listed


@pytest.fixture(autouse=True)
def settled(postgres_url: str, clickhouse_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says where the parts are."""
    monkeypatch.setenv("MILLRACE_KAFKA", "127.0.0.1:1")
    monkeypatch.setenv("MILLRACE_POSTGRES_URL", postgres_url)
    monkeypatch.setenv("MILLRACE_CLICKHOUSE_URL", clickhouse_url)
    monkeypatch.setenv("MILLRACE_TOPIC", TOPIC)


def run(command: Callable[..., None], *arguments: str) -> str:
    """What a command prints."""
    app = typer.Typer()
    app.command()(command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    assert done.exit_code == 0, done.output
    return done.output


def test_an_event_is_traced_for_people_and_programs(stream: Stream, merchants: Merchants) -> None:
    """The merchant need not be named where only one has such an event; names are shown as they are."""
    stream([said(merchants, "e-1"), said(merchants, "[bold]", merchant="other"), said(merchants, "e-1")])

    shown = run(event, "e-1")
    told: dict[str, Any] = orjson.loads(run(event, "e-1", "--merchant", "acme", "--json"))

    for words in ("e-1 of acme: open", "copy: stored", "copy: duplicate (", "offset 0", "window: tokens (sum)", ": 3"):
        assert words.removesuffix(" (") in shown
    assert (told["merchant"], told["fate"]) == ("acme", "open")
    assert "[bold] of other" in run(event, "[bold]")


def test_an_event_that_cannot_be_told_apart_is_asked_for(stream: Stream, merchants: Merchants) -> None:
    """Unknown ids, ids of several merchants, and another merchant's."""
    stream([said(merchants, "same"), said(merchants, "same", merchant="other")])

    for arguments, code in [
        (["same"], "merchant_needed"),
        (["nothing"], "event_unknown"),
        (["same", "--merchant", "nobody"], "merchant_unknown"),
        (["same", "--merchant", "acme", "--source", "x"], "event_unknown"),
    ]:
        with pytest.raises(Refused) as refused:
            run(event, *arguments)
        assert refused.value.code == code


def test_events_are_listed_page_by_page(stream: Stream, merchants: Merchants) -> None:
    """With the cursor that goes on."""
    stream([said(merchants, f"e-{number}") for number in range(5)])
    wait_until_listed()

    first = orjson.loads(run(events, "--merchant", "acme", "--limit", "3", "--json"))
    second = orjson.loads(run(events, "--merchant", "acme", "--limit", "3", "--cursor", first["next_cursor"], "--json"))

    assert len({one["id"] for one in first["events"] + second["events"]}) == 5
    assert second["next_cursor"] is None
    assert "more: --cursor" in run(events, "--merchant", "acme", "--limit", "1")
    assert run(events, "--merchant", "other") == "No events.\n"
    assert "e-3" in run(events, "--merchant", "acme", "--fate", "stored", "--from", "2023-11-20", "--to", "2023-11-21")
