"""Quantities read by the column equal those read one at a time."""

from __future__ import annotations

from decimal import Decimal

import polars as pl
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import BadEvent
from core.quantity import parse_quantity
from streams.numbers import QUANTITY, parse_quantities

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


@given(st.lists(anything | st.none(), max_size=50))
@settings(max_examples=400)
def test_a_column_is_read_as_each_of_its_texts(texts: list[str | None]) -> None:
    """Same values to the last place, same reasons."""
    values, reasons = parse_quantities(pl.Series(texts, dtype=pl.String))

    assert values.dtype == QUANTITY
    assert list(zip(values.to_list(), reasons.to_list(), strict=True)) == [one_by_one(text) for text in texts]
