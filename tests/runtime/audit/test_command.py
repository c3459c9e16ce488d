"""``millrace audit`` as people and programs call it."""

from __future__ import annotations

from typing import Any

import orjson
import pytest
import typer
from typer.testing import CliRunner

from core.errors import Refused
from runtime.audit.run import AuditParts
from runtime.commands.audit import audit_command
from tests.runtime.audit.conftest import Stream


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what the command prints."""
    app = typer.Typer()
    app.command()(audit_command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.output


def test_the_command_finds_repairs_and_remembers(
    audited: AuditParts, streamed: Stream, endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Exit code 0 when all agrees, 1 when not; --repair mends; --last shows what was kept."""
    for name, value in endpoints_env.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(Refused, match="no audit was made yet"):
        run("--last", "1")
    streamed(1_000)

    code, clean = run()
    assert code == 0, clean
    assert "everything agrees" in clean
    audited.store.command(
        "ALTER TABLE usage_windows DELETE WHERE partition = 0 AND block_first = 0 SETTINGS mutations_sync = 2"
    )
    code, told = run("--json")
    report: dict[str, Any] = orjson.loads(told)
    assert (code, report["ok"], report["repairs"]) == (1, False, [])
    assert report["findings"][0]["code"] == "windows_differ"
    code, shown = run("--last", "1")
    assert code == 1
    assert "windows_differ" in shown
    assert "events: " in shown
    code, told = run("--repair", "--json")
    assert (code, orjson.loads(told)["repairs"][0]["done"]) == (0, True), told
    code, told = run("--last", "9", "--json")
    assert [one["ok"] for one in orjson.loads(told)] == [True, False, False, True]
    assert run("--since", "2100-01-01")[0] == 0
