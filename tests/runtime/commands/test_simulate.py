from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from core.clock import SystemClock
from runtime.cli import build_app
from runtime.conservation.acknowledged import acknowledged_faults
from runtime.conservation.check import check_conservation
from runtime.conservation.drain import wait_until_drained
from runtime.demo.compare import fate_differences
from runtime.demo.run import Parts
from runtime.traffic.account import account_of
from runtime.traffic.ledger import load_ledger


@pytest.fixture
def at_line(line: Parts, endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> Parts:
    """The line as the running stack of the environment."""
    for name, value in endpoints_env.items():
        monkeypatch.setenv(name, value)
    return line


def run(*arguments: str) -> dict[str, object]:
    """A command that must succeed, and its JSON."""
    result = CliRunner().invoke(build_app(), ["simulate", *arguments, "--json"], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    answer: dict[str, object] = json.loads(result.stdout)
    return answer


def test_simulated_traffic_arrives_as_its_ledger_says_and_again_adds_nothing(at_line: Parts, tmp_path: Path) -> None:
    """Once, again with the same seed, and then live traffic of the same merchants."""
    options = ("--events", "3000", "--merchants", "3", "--customers", "4", "--seed", "5", "--batch", "100")
    path = tmp_path / "ledger.json"
    said = run(*options, "--ledger", str(path))
    assert said["sent"] == 3_000
    assert said["ledger"] == str(path)
    ledger = load_ledger(path)
    wait_until_drained(at_line.books, at_line.admin, at_line.topic, SystemClock(), acknowledged=ledger.accepted)
    first = check_conservation(at_line.books, at_line.store, at_line.topic)
    assert first.faults == ()
    assert fate_differences(account_of(ledger)[0], first.totals) == []

    again = run(*options)
    assert again["sent"] == 3_000
    total = ledger.accepted + int(str(again["accepted"]))
    wait_until_drained(at_line.books, at_line.admin, at_line.topic, SystemClock(), acknowledged=total)
    second = check_conservation(at_line.books, at_line.store, at_line.topic)
    assert second.faults == ()
    assert second.totals.stored == first.totals.stored
    assert acknowledged_faults(at_line.store, ledger) == []

    live = run("--events", "1000", "--merchants", "3", "--customers", "4", "--until", "now")
    assert live["accepted"] == 1_000 - int(str(live["refused"]))


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--until", "2026-03-01T12:00:00"], "with its zone"),
        (["--until", "soon"], "plan_impossible"),
        (["--customers", "70000"], "plan_impossible"),
    ],
)
def test_impossible_plans_are_refused_before_anything_is_asked_of_the_stack(arguments: list[str], words: str) -> None:
    """A time without a zone, no time, more customers than ids can hold."""
    with pytest.raises(Exception, match=words):
        CliRunner().invoke(build_app(), ["simulate", *arguments], catch_exceptions=False)
