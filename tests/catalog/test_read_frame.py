"""Rows of Postgres as frames."""

from __future__ import annotations

import polars as pl
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Engine

from catalog.read_frame import read_frame
from core.db import transaction
from core.frames import Schema

SCHEMA: Schema = {"name": pl.String(), "number": pl.Int64()}

TEXTS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs", "Zl", "Zp"]))


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None, max_examples=50)
@given(rows=st.lists(st.tuples(TEXTS, st.none() | st.integers(-(2**63), 2**63 - 1)), max_size=5))
def test_texts_and_numbers_come_through_unchanged(books: Engine, rows: list[tuple[str, int | None]]) -> None:
    """Quotes, commas, backslashes, empty texts and nulls are what they were."""
    query = (
        "SELECT * FROM unnest(%(names)s::text[], %(numbers)s::bigint[]) WITH ORDINALITY AS t (name, number, place) "
        "ORDER BY place"
    )
    values = {"names": [name for name, _ in rows], "numbers": [number for _, number in rows]}
    with transaction(books) as connection:
        frame = read_frame(connection, f"SELECT name, number FROM ({query}) q", values, SCHEMA)

    assert frame.rows() == rows


def test_no_rows_are_an_empty_frame(books: Engine) -> None:
    """The schema is there even then."""
    with transaction(books) as connection:
        frame = read_frame(connection, "SELECT '' AS name, 1 AS number WHERE %(no)s", {"no": False}, SCHEMA)

    assert (frame.height, dict(frame.schema)) == (0, SCHEMA)
