"""Quantities read by the column equal those read one at a time."""

from __future__ import annotations

import re
from decimal import Decimal

import numpy as np
import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadEvent
from core.quantity import EXACT, parse_quantity
from streams.numbers import QUANTITY, parse_odd
from streams.plain_number import decimals, read_plain, words_of

digits = st.text("0123456789", min_size=1, max_size=40)
few = st.text("0015", min_size=1, max_size=25)
written = st.builds(
    "".join,
    st.tuples(
        st.sampled_from(["", "-", "+"]),
        digits | few,
        st.sampled_from(["", ".", "."]),
        few | st.just(""),
        st.sampled_from(["", "e", "E+", "e-"]),
        st.integers(0, 1100).map(str) | st.integers(0, 15).map(str) | st.just(""),
    ),
)
anything = written | st.floats().map(str) | st.decimals().map(str) | st.text(max_size=8)


def one_by_one(text: str | None) -> tuple[Decimal | None, str]:
    """The answer of the rule itself."""
    if text is None:
        return None, "value_missing"
    try:
        return parse_quantity(text), ""
    except BadEvent as bad:
        return None, bad.code


def read_by_loop(text: str) -> tuple[bool, Decimal]:
    """What the loop over plain numbers makes of a text that stands among others."""
    data = np.frombuffer(b"7" + text.encode() + b"7", np.uint8)
    plain, low, high = read_plain(data, 1, len(data) - 1)
    return plain, decimals(np.array([[low, high]], np.uint64))[0]


@given(st.lists(anything | st.none(), max_size=50))
@settings(max_examples=400, deadline=None)
def test_a_column_is_read_as_each_of_its_texts(texts: list[str | None]) -> None:
    """Same values to the last place, same reasons."""
    values, reasons = parse_odd(pl.Series(texts, dtype=pl.String))

    assert values.dtype == QUANTITY
    assert list(zip(values.to_list(), reasons.to_list(), strict=True)) == [one_by_one(text) for text in texts]


@given(anything)
@settings(max_examples=400, deadline=None)
def test_the_loop_reads_plain_numbers_and_nothing_else(text: str) -> None:
    """Up to 19 digits before the point and 12 behind it, as they stand; whatever it reads is what the rule reads."""
    plain, value = read_by_loop(text)

    assert plain == bool(re.fullmatch(r"-?[0-9]{1,19}(\.[0-9]{1,12})?", text))
    assert not plain or (value, "") == one_by_one(text)


@given(st.integers(-(10**31) + 1, 10**31 - 1))
@settings(deadline=None)
def test_words_hold_every_quantity(units: int) -> None:
    """Read, and written as words again, to the last of 31 digits; signs and carries included."""
    digits = str(abs(units)).rjust(13, "0")
    plain, value = read_by_loop(f"{'-' if units < 0 else ''}{digits[:-12]}.{digits[-12:]}")

    assert plain
    assert value == Decimal(units).scaleb(-12, EXACT)
    assert words_of(pl.Series([value], dtype=QUANTITY)).tolist() == [[units % 2**64, units // 2**64 % 2**64]]
