"""Expressions over columns give the values of plain decimals, and their reasons."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from core.errors import BadEvent, Refused
from core.expression import Expression, read_expression
from core.quantity import parse_quantity, units_of
from streams.value import as_units, as_words, evaluate
from tests.streams.expression_oracle import EXPRESSIONS, SAID, worked_out

Outcome = tuple[str, Decimal | None]


def naive(text: str, said: dict[str, str]) -> Outcome:
    """What the definition says."""
    try:
        return "", worked_out(text, said)
    except BadEvent as bad:
        return bad.code, None


def by_columns(expression: Expression, rows: list[dict[str, str]]) -> list[Outcome]:
    """What the stream makes of all at once."""
    columns = {name: [units_of(parse_quantity(said[name])) for said in rows] for name in expression.properties}
    values, reasons = evaluate(expression, columns)
    return [
        (reasons[row], None) if row in reasons else ("", Decimal(units).scaleb(-12)) for row, units in enumerate(values)
    ]


def readable(text: str) -> Expression:
    """The expression; examples beyond its limits are none."""
    try:
        return read_expression(text)
    except Refused as refused:
        assume(refused.code != "expression_too_long")
        raise


@given(EXPRESSIONS, st.lists(SAID, min_size=1, max_size=4))
@settings(max_examples=500)
def test_columns_are_worked_out_as_plain_decimals_are(text: str, rows: list[dict[str, str]]) -> None:
    """The same values to the last place, and the same reasons where there is none."""
    expression = readable(text)

    assert by_columns(expression, rows) == [naive(text, said) for said in rows]


@pytest.mark.parametrize(
    ("text", "gb", "expected"),
    [
        ("properties.gb * 0.5", "0.000000000001", "0.000000000001"),
        ("properties.gb * -0.5", "0.000000000001", "-0.000000000001"),
        ("properties.gb / 3", "2", "0.666666666667"),
        ("properties.gb / 3 * 3", "1", "0.999999999999"),
        ("properties.gb * 3 / 3", "1", "1"),
        ("round(properties.gb)", "-2.5", "-3"),
        ("floor(properties.gb, 1)", "-0.01", "-0.1"),
        ("ceil(properties.gb, 1)", "-0.09", "0"),
        ("properties.gb * properties.gb / properties.gb", "9999999999999", "9999999999999"),
        ("properties.gb * properties.gb", "3162277660", "9999999998935075600"),
        ("properties.gb * properties.gb", "3162277661", "value_too_large"),
        ("properties.gb * properties.gb / properties.gb", "10000000000001", "value_too_large"),
        ("1 / properties.gb", "0", "value_divided_by_zero"),
        ("1 / max(properties.gb, 1)", "0", "1"),
        ("1 / (properties.gb - 1) * 0", "1", "value_divided_by_zero"),
    ],
)
def test_steps_are_rounded_and_bounded(text: str, gb: str, expected: str) -> None:
    """Halves go away from zero at the twelfth place; 26 digits on the way, 19 at the end."""
    (outcome,) = by_columns(read_expression(text), [{"gb": gb}])

    assert outcome == ((expected, None) if expected.startswith("value") else ("", Decimal(expected)))


@given(st.lists(st.integers(-(2**127), 2**127 - 1)))
def test_numbers_survive_their_words(values: list[int]) -> None:
    """Two words hold any 128 bits, with their sign."""
    assert as_units(as_words(values)) == values


def test_the_oracle_knows_what_is_missing() -> None:
    """Or a fault of one would be a fault of both."""
    assert naive("properties.gb", {}) == ("value_missing", None)
    assert naive("properties.gb / properties.hours", {"gb": "1", "hours": "0"}) == ("value_divided_by_zero", None)
    assert naive("properties.gb", {"gb": "x"}) == ("value_not_numeric", None)
