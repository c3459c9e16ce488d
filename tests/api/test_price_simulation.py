"""``POST /v1/prices/simulate``: the same answer as the command line's, for whoever has a key."""

from __future__ import annotations

import httpx

from core.limits import BODY_BYTES_MAX
from rating.preview import simulate
from tests.api.test_event_fate import Keys, Merchants

DOOR = "/v1/prices/simulate"
TIERS = [{"up_to": "5", "unit_price": "1"}, {"up_to": None, "unit_price": "0.1"}]
CASE = {"price": {"model": "graduated", "tiers": TIERS}, "quantity": "22"}


def test_a_price_is_tried_out(api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """One case or many, with every step."""
    one = api.post(DOOR, headers=keys["acme"], json=CASE)
    many = api.post(DOOR, headers=keys["acme"], json={"cases": [CASE, {"price": {}}]})

    assert (one.status_code, one.json()) == (200, simulate(CASE))
    assert (one.json()["unrounded"], one.json()["amount"]) == ("6.7", "6.70")
    assert many.json()["cases"][0] == one.json()
    assert many.json()["cases"][1]["error"]["problems"][0]["field"] == "cases[1].price.model"


def test_a_bad_price_is_a_problem_document(api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """Every fault with its path; what is no JSON, or too much of it, is refused too."""
    answer = api.post(DOOR, headers=keys["acme"], json=CASE | {"price": {"model": "per_unit", "unit_price": "-1"}})
    assert (answer.status_code, answer.json()["code"]) == (422, "price_invalid")
    assert "price.unit_price" in answer.text
    assert api.post(DOOR, headers=keys["acme"], content=b"{").json()["code"] == "not_json"
    assert api.post(DOOR, headers=keys["acme"], content=b" " * (BODY_BYTES_MAX + 1)).status_code == 413


def test_without_a_key_nothing_is_worked_out(api: httpx.Client, merchants: Merchants) -> None:
    """As at every other door."""
    assert api.post(DOOR, json=CASE).status_code == 401
