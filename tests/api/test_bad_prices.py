"""A bad price is refused with each field's path and the reason, alike through the file, the API and the command."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from core.errors import Problem, Refused
from runtime.cli import build_app
from tests.api.test_event_fate import Keys, Merchants
from tests.catalog.prices.bad_prices import BAD

Door = Callable[[dict[str, Any]], list[tuple[str | None, str, str]]]


@pytest.fixture(params=["file", "API", "command"])
def door(request: pytest.FixtureRequest, tmp_path: Path) -> Door:
    """One of the three ways in: given a price, the path within it, code and reason of each fault."""

    def listed(problems: list[Any], place: str) -> list[tuple[str | None, str, str]]:
        told = [
            one if isinstance(one, Problem) else Problem(one["code"], one["message"], one["field"]) for one in problems
        ]
        return [(str(one.field).removeprefix(place), one.code, one.message) for one in told]

    def by_file(price: dict[str, Any]) -> list[tuple[str | None, str, str]]:
        plan = {"code": "payg", "currency": "USD", "prices": [{"meter": "tokens"} | price]}
        file = tmp_path / "catalog.yaml"
        file.write_text(yaml.safe_dump({"merchant": {"code": "acme"}, "plans": [plan]}))
        done = CliRunner().invoke(build_app(), ["apply", "--yes", str(file)])
        assert isinstance(done.exception, Refused)
        assert "nothing was changed" in done.exception.message
        return listed(list(done.exception.problems), "plans[0].prices[0].")

    def by_api(price: dict[str, Any]) -> list[tuple[str | None, str, str]]:
        request.getfixturevalue("merchants")
        client: httpx.Client = request.getfixturevalue("api")
        keys: Keys = request.getfixturevalue("keys")
        answer = client.post("/v1/prices/simulate", headers=keys["acme"], json={"price": price, "quantity": "1"})
        assert (answer.status_code, answer.headers["content-type"]) == (422, "application/problem+json")
        return listed(answer.json()["problems"], "price.")

    def by_command(price: dict[str, Any]) -> list[tuple[str | None, str, str]]:
        file = tmp_path / "price.json"
        file.write_text(json.dumps(price))
        done = CliRunner().invoke(build_app(), ["rate", "--price", str(file), "--quantity", "1"])
        assert isinstance(done.exception, Refused)
        for problem in done.exception.problems:
            assert f"{problem.field}" in str(done.exception)
        return listed(list(done.exception.problems), "")

    return {"file": by_file, "API": by_api, "command": by_command}[request.param]


@pytest.mark.parametrize("name", BAD)
def test_a_bad_price_is_refused_with_path_and_reason(name: str, door: Door, merchants: Merchants) -> None:
    """The same fault, whoever asks."""
    price, field, code, reason = BAD[name]

    found = door(price)

    assert [(path, what) for path, what, _ in found] == [(field, code)]
    assert reason in found[0][2]


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({}, "is required"),
        ({"model": "per_moon"}, "must be one of"),
        ({"model": ["per_unit"]}, "must be a text"),
    ],
)
def test_a_price_of_no_model_is_refused_too(price: dict[str, Any], said: str, door: Door, merchants: Merchants) -> None:
    """At the field that says the model."""
    (fault,) = door(price)

    assert fault[0] == "model"
    assert said in fault[2]


def test_a_number_need_not_be_quoted_anywhere(
    api: httpx.Client, keys: Keys, merchants: Merchants, tmp_path: Path
) -> None:
    """0.1 is the decimal that its text says, in a file, a request and a command alike."""
    file = tmp_path / "price.json"
    file.write_text('{"model": "per_unit", "unit_price": 0.1}')
    said = CliRunner().invoke(build_app(), ["rate", "--price", str(file), "--quantity", "0.3"])
    body = '{"price": {"model": "per_unit", "unit_price": 0.1}, "quantity": 0.3}'
    answer = api.post("/v1/prices/simulate", headers=keys["acme"], content=body)

    assert json.loads(said.stdout)["unrounded"] == answer.json()["unrounded"] == "0.03"
