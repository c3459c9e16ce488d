"""Quantities are what their text says, or are refused."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadEvent
from core.quantity import parse_quantity, plain_text

GOOD = {
    "0": "0", "-0.0": "0", "1": "1", "0.1": "0.1", "-2.50": "-2.5", "1e5": "100000", "1E-12": "0.000000000001",
    "0.123456789012": "0.123456789012", "1.000000000000000000": "1", "1000000000000000000": "1000000000000000000",
    "007": "7",
}  # fmt: skip
BAD = {
    "": "value_not_numeric", "abc": "value_not_numeric", "NaN": "value_not_numeric", "inf": "value_not_numeric",
    "1,5": "value_not_numeric", " 1": "value_not_numeric", "1_000": "value_not_numeric", "٣": "value_not_numeric",
    "1e": "value_not_numeric", ".5": "value_not_numeric", "0.1234567890123": "value_too_precise",
    "1e-13": "value_too_precise", "1e400": "value_too_large", "10000000000000000000": "value_too_large",
}  # fmt: skip


@pytest.mark.parametrize(("text", "plain"), GOOD.items())
def test_a_number_is_the_decimal_that_its_text_says(text: str, plain: str) -> None:
    """Exponents and trailing zeros change nothing about the number."""
    assert plain_text(parse_quantity(text)) == plain


@pytest.mark.parametrize(("text", "code"), BAD.items())
def test_what_is_no_exact_quantity_is_refused_with_its_reason(text: str, code: str) -> None:
    """Nothing is rounded, cut or read as zero."""
    with pytest.raises(BadEvent) as refused:
        parse_quantity(text)

    assert refused.value.code == code


@given(st.decimals(-(10**18), 10**18, places=12))
def test_writing_and_reading_gives_the_same_number(number: Decimal) -> None:
    """Plain text loses no digit."""
    assert parse_quantity(plain_text(number)) == number


@given(st.text(max_size=20))
def test_any_text_is_either_a_number_or_a_bad_event(text: str) -> None:
    """No other exception escapes, whatever people send."""
    with suppress(BadEvent):
        assert parse_quantity(text).is_finite()
