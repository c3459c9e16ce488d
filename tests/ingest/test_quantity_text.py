"""Metered values as plain decimal text."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadEvent
from core.quantity import parse_quantity, plain_text
from ingest.quantity_text import plain_quantity

NUMBER_LIKE = st.from_regex(r"\A-?0{0,2}\d{0,22}(\.\d{0,14})?([eE][+-]?\d{1,2})?\Z")


@given(st.one_of(NUMBER_LIKE, st.text(max_size=12)))
def test_the_short_cut_changes_nothing(text: str) -> None:
    """For every text, the same decimal or the same refusal as the full parse."""
    try:
        expected = plain_text(parse_quantity(text))
    except BadEvent as bad:
        expected = bad.code
    try:
        found = plain_quantity(text)
    except BadEvent as bad:
        found = bad.code

    assert found == expected
