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

from catalog.document import read_catalog
from core.errors import Problem, Refused
from runtime.cli import build_app
from tests.api.test_event_fate import Keys, Merchants

UNIT: dict[str, Any] = {"model": "per_unit", "unit_price": "1"}
LAST = {"up_to": None, "unit_price": "1"}


def tiers(*bounds: str | None) -> dict[str, Any]:
    """A graduated price with these bounds."""
    return {"model": "graduated", "tiers": [{"up_to": bound, "unit_price": "1"} for bound in bounds]}


# What is wrong with a price: the path within it, the code, and a part of the reason.
BAD: dict[str, tuple[dict[str, Any], str, str, str]] = {
    "a gap at the end": (tiers("10", "20"), "tiers[1].up_to", "tier_bounded", "must be without end"),
    "a gap in the middle": (tiers("10", None, None), "tiers[1].up_to", "tier_endless", "only the last"),
    "descending bounds": (tiers("10", "5", None), "tiers[1].up_to", "tier_not_rising", "must be above 10"),
    "repeated bounds": (tiers("10", "10", None), "tiers[1].up_to", "tier_not_rising", "must be above 10"),
    "an unknown field": (UNIT | {"price_per_unit": "2"}, "price_per_unit", "field_unknown", "is unknown here"),
    "an unknown field of a tier": (
        {"model": "volume", "tiers": [LAST | {"size": "1"}]},
        "tiers[0].size",
        "field_unknown",
        "is unknown here",
    ),
    "a negative size": (
        {"model": "package", "package_size": "-1", "package_price": "1"},
        "package_size",
        "value_negative",
        "must not be negative",
    ),
    "a size of nothing": (
        {"model": "package", "package_size": "0", "package_price": "1"},
        "package_size",
        "value_not_positive",
        "must be above 0",
    ),
    "an unknown currency": (
        {"model": "per_unit", "currencies": {"USD": {"unit_price": "1"}, "XXQ": {"unit_price": "1"}}},
        "currencies.XXQ",
        "currency_unknown",
        "'XXQ' is not a currency code",
    ),
    "a fault in one currency": (
        {"model": "per_unit", "currencies": {"USD": {"unit_price": "-1"}}},
        "currencies.USD.unit_price",
        "value_negative",
        "must not be negative",
    ),
    "a bucket of no length": (UNIT | {"bucket": "week"}, "bucket", "choice_unknown", "must be one of hour, day"),
    "a number that is none": (UNIT | {"unit_price": "NaN"}, "unit_price", "value_not_numeric", ""),
}

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
        with pytest.raises(Refused) as refused:
            read_catalog(yaml.safe_dump({"merchant": {"code": "acme"}, "plans": [plan]}).encode())
        return listed(list(refused.value.problems), "plans[0].prices[0].")

    def by_api(price: dict[str, Any]) -> list[tuple[str | None, str, str]]:
        request.getfixturevalue("merchants")
        client: httpx.Client = request.getfixturevalue("api")
        keys: Keys = request.getfixturevalue("keys")
        answer = client.post("/v1/prices/simulate", headers=keys["acme"], json={"price": price, "quantity": "1"})
        assert answer.status_code == 422
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
