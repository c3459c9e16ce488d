"""The command ``millrace rate``."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from core.errors import Refused
from runtime.commands.rate import rate

TIERS = '[{"up_to": 5, "unit_price": 1.00}, {"up_to": 10, "unit_price": "0.50"}, {"up_to": null, "unit_price": 0.1}]'
GRADUATED = f'{{"model": "graduated", "tiers": {TIERS}}}'
PERCENTAGE = '{"model": "percentage", "rate_percent": "2.9", "fixed_fee_per_event": "0.30", "free_amount": "120"}'


@pytest.fixture
def run(tmp_path: Path) -> Any:
    """Runs the command; a text that begins a JSON document is put into a file."""
    app = typer.Typer()
    app.command()(rate)

    def run(*words: str, code: int = 0) -> Any:
        files = []
        for place, word in enumerate(words):
            file = tmp_path / f"{place}.json"
            if word[0] in "{[":
                file.write_text(word)
            files.append(str(file) if word[0] in "{[" else word)
        done = CliRunner().invoke(app, files, catch_exceptions=False)
        assert done.exit_code == code, done.output
        return json.loads(done.stdout)

    return run


def test_a_quantity_is_charged_exactly_and_in_money(run: Any) -> None:
    """Unrounded, rounded in the currency, and tier by tier."""
    answer = run("--price", GRADUATED, "--quantity", "22", "--currency", "JPY")

    assert (answer["unrounded"], answer["amount"], answer["amount_minor"]) == ("8.7", "9", 9)
    assert [tier["amount"] for tier in answer["tiers"]] == ["5", "2.5", "1.2"]


def test_events_are_charged_one_by_one(run: Any) -> None:
    """An amount alone, by name, or below ``data``; the event that is partly within the quota pays on the rest."""
    events = '{"amount": "100"}\n\n{"data": {"amount": 50.5}}\n7\n'

    answer = run("--price", PERCENTAGE, "--events", events)

    # 30.5 and 7 at 2.9 %, and two fixed fees.
    assert (answer["quantity"], answer["unrounded"]) == ("157.5", "1.6875")


def test_parts_pay_the_difference(run: Any) -> None:
    """Quantities so far, or of each part."""
    so_far = run("--price", GRADUATED, "--cumulative", "5,10,22")
    each = run("--price", GRADUATED, "--parts", "5,5,12")

    assert [part["unrounded"] for part in so_far["parts"]] == ["5", "2.5", "1.2"]
    assert each == so_far


def test_many_cases_are_done_in_one_run(run: Any) -> None:
    """Each answer in its place; one that is wrong or parked makes the exit code 3."""
    good = {"price": {"model": "per_unit", "unit_price": "0.1"}, "quantity": "3", "currency": "KWD"}
    bad = {"price": {"model": "per_unit"}, "quantity": "3"}

    assert [answer["amount"] for answer in run("--cases", json.dumps([good, good]))] == ["0.300", "0.300"]
    answers = run("--cases", json.dumps({"cases": [good, bad]}), code=3)
    assert answers[1]["error"]["problems"] == [
        {"field": "cases[1].price.unit_price", "code": "field_missing", "message": "is required"}
    ]


def test_what_does_not_fit_says_so(run: Any) -> None:
    """No wrapped number, and an exit code of its own."""
    price = '{"model": "per_unit", "unit_price": "1000000000000000000"}'

    assert "does not fit" in run("--price", price, "--quantity", "1000000", code=3)["parked_reason"]


def test_a_bad_price_is_refused_with_path_and_reason(run: Any) -> None:
    """As the file's own paths; so is a file of no JSON, and a question without usage."""
    price = GRADUATED.replace("10,", "4,").replace("0.1}", '-0.1, "x": 1}').replace("{", '{"currency": "XXX", ', 1)
    with pytest.raises(Refused) as refused:
        run("--price", price, "--quantity", "1")
    assert [problem.field for problem in refused.value.problems] == [
        "tiers[2].unit_price",
        "tiers[2].x",
        "tiers[1].up_to",
        "currency",
    ]
    with pytest.raises(Refused, match="not JSON"):
        run("--price", "{", "--quantity", "1")
    with pytest.raises(Refused, match="one of --quantity"):
        run("--price", GRADUATED)
