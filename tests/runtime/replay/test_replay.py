"""``millrace replay``: the windows are made again from the events, into the very bytes that they were."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import pytest
import typer
from typer.testing import CliRunner

from core.errors import Conflict, Refused
from runtime.audit.repair_ledger import sole_repair
from runtime.audit.run import AuditParts, audit
from runtime.commands.replay import replay_command
from tests.runtime.audit.conftest import Stream

WINDOWS = ("usage_windows", "usage_uniques")
DAMAGE_BLOCK = "ALTER TABLE {table} DELETE WHERE partition = 0 AND block_first = 0 SETTINGS mutations_sync = 2"


@pytest.fixture(autouse=True)
def at_home(endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """The command finds the line by its environment."""
    for name, value in endpoints_env.items():
        monkeypatch.setenv(name, value)


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what the command prints."""
    app = typer.Typer()
    app.command()(replay_command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def run_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The same for a program."""
    code, said = run("--json", *arguments)
    return code, orjson.loads(said)


def rows_of(parts: AuditParts) -> dict[str, pl.DataFrame]:
    """Every column of every row of the windows' tables, in an order of their own."""
    frames = {}
    for table in WINDOWS:
        names = parts.store.query_frame(
            f"SELECT name FROM system.columns WHERE table = '{table}'"
            " AND database = currentDatabase() ORDER BY position"
        )["name"].to_list()
        shown = ", ".join(f"toString({name}) AS {name}" for name in names)
        frames[table] = parts.store.query_frame(f"SELECT {shown} FROM {table} ORDER BY ALL")
    return frames


def same_rows(parts: AuditParts, before: dict[str, pl.DataFrame]) -> bool:
    """Whether the windows' tables hold the same rows as before, byte for byte."""
    return all(frame.equals(before[table]) for table, frame in rows_of(parts).items())


def test_windows_that_were_truncated_come_back_byte_for_byte(audited: AuditParts, streamed: Stream) -> None:
    """All rows, with their times of storing; an audit agrees, and a second replay finds nothing to do."""
    streamed(3_000)
    before = rows_of(audited)
    assert all(frame.height > 100 for frame in before.values())
    for table in WINDOWS:
        audited.store.command(f"TRUNCATE TABLE {table}")

    code, checked = run_json("--check")
    assert (code, checked["equal"], checked["replaced"]) == (1, 0, 0)
    assert checked["differing"] == checked["blocks"] > 0
    code, said = run_json()
    assert (code, said["replaced"], said["damaged"]) == (0, checked["blocks"], [])
    assert said["events"] == checked["events"] > 2_900

    assert same_rows(audited, before)
    assert audit(audited).findings == ()
    code, again = run_json()
    assert (code, again["equal"], again["replaced"]) == (0, again["blocks"], 0)


def test_only_blocks_with_events_of_the_span_and_merchant_are_made_again(audited: AuditParts, streamed: Stream) -> None:
    """Others are not looked at; what is right is not written."""
    streamed(1_000)
    before = rows_of(audited)
    first = audited.store.query_frame(
        "SELECT toString(min(occurred_at)) AS at FROM usage_events WHERE partition = 0 AND block_first = 0"
    )["at"][0]
    for table in WINDOWS:
        audited.store.command(DAMAGE_BLOCK.format(table=table))

    assert run_json("--to", "2001-01-01")[1]["blocks"] == 0
    code, elsewhere = run_json("--partition", "1")
    assert (code, elsewhere["differing"]) == (0, 0)
    with pytest.raises(Refused, match="no merchant 'nobody'"):
        run("--merchant", "nobody")
    with pytest.raises(Refused, match="must lie before"):
        run("--from", "2001-01-02", "--to", "2001-01-01")
    code, shown = run("--from", first, "--merchant", "sim-0000", "--check")
    assert code == 1 and "1 differ" in shown and "millrace replay" in shown
    code, said = run_json("--from", first, "--merchant", "sim-0000")
    assert (code, said["replaced"], said["equal"]) == (0, 1, said["blocks"] - 1)

    assert same_rows(audited, before)


def test_a_block_whose_events_are_damaged_is_left_as_it_is(audited: AuditParts, streamed: Stream) -> None:
    """Nothing proves its windows any more; the answer points to the repair of events."""
    streamed(1_000)
    before = rows_of(audited)
    audited.store.command(
        "ALTER TABLE usage_events DELETE WHERE partition = 0 AND block_first = 0 AND position = 0"
        " SETTINGS mutations_sync = 2"
    )

    code, said = run_json()
    assert (code, said["ok"], said["replaced"]) == (1, False, 0)
    assert [(place["partition"], place["first_offset"]) for place in said["damaged"]] == [(0, 0)]
    assert "millrace audit --repair" in run("--check")[1]

    assert same_rows(audited, before)


def test_a_replay_waits_for_no_other_repair(audited: AuditParts) -> None:
    """Two would delete each other's rows: the second does nothing and says so; a check is harmless."""
    with sole_repair(audited.books, audited.topic), pytest.raises(Conflict, match="another repair"):
        run()
    with sole_repair(audited.books, audited.topic):
        assert run("--check")[0] == 0
