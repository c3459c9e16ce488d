"""Frames are checked at the door of each stage."""

from __future__ import annotations

import polars as pl
import pytest

from core.frames import checked

DECLARED = {"who": pl.String(), "amount": pl.Decimal(38, 12)}


def test_a_frame_of_the_declared_shape_passes_in_the_declared_order() -> None:
    """Further columns are left behind."""
    frame = pl.DataFrame({"more": [1], "amount": [None], "who": ["a"]}, schema_overrides=DECLARED)

    assert checked(frame, DECLARED).columns == ["who", "amount"]


def test_a_decimal_that_became_a_float_is_caught() -> None:
    """Multiplying by a float literal changes the type silently; the door sees it."""
    frame = pl.DataFrame({"who": ["a"], "amount": [1.5]})

    with pytest.raises(AssertionError, match="another type"):
        checked(frame, DECLARED)


def test_a_missing_column_is_named() -> None:
    """The message says which one."""
    with pytest.raises(AssertionError, match="amount"):
        checked(pl.DataFrame({"who": ["a"]}), DECLARED)
