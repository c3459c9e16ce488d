"""``POST /v1/prices/simulate`` given odd bodies: a problem document each time, and never a fault of ours."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.api.test_event_fate import Keys, Merchants

DOOR = "/v1/prices/simulate"
UNIT = '{"model": "per_unit", "unit_price": "0.1"}'
EU = '{"model": "matrix", "group_by": ["region"], "prices": [{"group": {"region": "eu"}, "unit_price": "1"}], '
HALF_PAIR = "\\ud800"
# What is sent, the status, the code, and a part of what is told.
ODD = {
    "empty": ("", 422, "not_json", "there is nothing in it"),
    "broken": ('{"price": ', 422, "not_json", "not JSON"),
    "NaN": (f'{{"price": {UNIT}, "quantity": NaN}}', 422, "not_json", "NaN is not a number"),
    "NaN as a text": (f'{{"price": {UNIT}, "quantity": "NaN"}}', 422, "case_invalid", "quantity"),
    "1e400": (f'{{"price": {UNIT}, "quantity": 1e400}}', 422, "case_invalid", "more than 19 digits"),
    "1e-400": (f'{{"price": {UNIT}, "quantity": 1e-400}}', 422, "case_invalid", "12 decimal places"),
    "many digits": (f'{{"price": {UNIT}, "quantity": {"9" * 10_000}}}', 422, "not_json", "not JSON"),
    "a list": ("[]", 422, "case_not_mapping", "must be a mapping"),
    "no price": ('{"quantity": "1"}', 422, "price_not_mapping", "price"),
    "a price of nothing": ('{"price": null, "quantity": "1"}', 422, "price_not_mapping", "price"),
    "deep": ("[" * 200_000, 422, "not_json", "too many levels inside each other"),
    "deep in a field": (f'{{"price": {"[" * 500 + "]" * 500}}}', 422, "price_not_mapping", "not a list"),
    "10 MB": (" " * 10_000_000, 413, "body_too_large", "at most"),
    "many fields": (
        f'{{"price": {UNIT[:-1]}{"".join(f", {json.dumps(str(n))}: 1" for n in range(200_000))}}}}}',
        422,
        "price_invalid",
        "mend these 100 faults first",
    ),
    "many wrong quantities": (f'{{"price": {UNIT}, "parts": [{"[]," * 9_999}[]]}}', 422, "case_invalid", "parts[0]"),
    "half a letter in a name": (f'{{"cases": [{{"name": "{HALF_PAIR}"}}]}}', 422, "not_json", "not JSON"),
    "half a letter in a group": (
        f'{{"price": {EU}"default": "hold"}}, "groups": [{{"group": {{"region": "{HALF_PAIR}"}}, "quantity": "1"}}]}}',
        422,
        "not_json",
        "not JSON",
    ),
    "half a letter in a field": (f'{{"price": {{"{HALF_PAIR}": 1}}, "quantity": "1"}}', 422, "not_json", "not JSON"),
    "no cases": ('{"cases": 3}', 422, "cases_not_list", "a list"),
    "too many cases": (f'{{"cases": [{"1," * 100_000}1]}}', 422, "cases_not_list", "100,000"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_body_is_answered_with_a_problem(name: str, api: httpx.Client, keys: Keys, merchants: Merchants) -> None:
    """Of a size that does not grow with the body's."""
    body, status, code, said = ODD[name]

    answer = api.post(DOOR, headers=keys["acme"], content=body.encode())

    assert (answer.status_code, answer.json()["code"]) == (status, code)
    assert answer.headers["content-type"] == "application/problem+json"
    assert said in answer.text
    assert len(answer.content) < 400_000


def test_odd_cases_among_good_ones_are_answered_in_their_place(
    api: httpx.Client, keys: Keys, merchants: Merchants
) -> None:
    """A name that is no text is not repeated; a group of whatever letters is a group."""
    held = f'{{"price": {EU}"default": "hold"}}, "groups": [{{"group": {{"region": "\\u0000\\""}}, "quantity": "1"}}]}}'
    good = f'{{"name": "é\\u0001", "price": {UNIT}, "quantity": "-1e3"}}'
    odd = ["null", '{"name": 123456789012345678901234567890}', f'{{"price": {UNIT}, "quantity": "1", "name": []}}']

    answer = api.post(DOOR, headers=keys["acme"], content=f'{{"cases": [{", ".join([*odd, held, good])}]}}'.encode())

    assert answer.status_code == 200
    cases = answer.json()["cases"]
    assert ["error" in case for case in cases] == [True, True, True, False, True]
    assert "is held" in cases[3]["parked_reason"]
    assert "name" not in cases[1]
