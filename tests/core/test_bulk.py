"""What is copied into Postgres is what was in the frame."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import polars as pl
import pytest
from sqlalchemy import Engine, select, text

from core.bulk import copy_rows
from core.db import transaction
from core.errors import Conflict
from invoicing.tables import invoice_lines, outbox

PLAIN_TEXTS = ["plain", "", "\\N", 'a "quoted" one', "two\nlines", "back\\slash, comma", "snow ☃", "NULL", "\t"]
ODD_TEXTS = [*PLAIN_TEXTS, "\x01", "a\x01\x01,b", "é" * 200]


def test_texts_of_every_kind_arrive_as_they_were(books: Engine) -> None:
    """Quotes, line ends, what other formats take for null, and the empty text."""
    frame = pl.DataFrame({"event_key": ODD_TEXTS}).with_columns(
        merchant_id=pl.lit("mer_1"), type=pl.col("event_key"), payload=pl.lit('{"a": "b\\"c"}')
    )

    with transaction(books) as connection:
        copy_rows(connection, outbox, frame)
        found = connection.execute(select(outbox.c.event_key, outbox.c.type, outbox.c.payload)).all()

    assert sorted(row.event_key for row in found) == sorted(ODD_TEXTS)
    assert all(row.event_key == row.type and row.payload == {"a": 'b"c'} for row in found)


def test_decimals_keep_every_digit(books: Engine) -> None:
    """38 digits, 24 of them after the point, on both sides of zero."""
    widest = [Decimal("99999999999999.999999999999999999999999"), Decimal("-1e-24"), Decimal(0)]
    frame = pl.DataFrame({"unrounded": widest}, schema={"unrounded": pl.Decimal(38, 24)}).with_columns(
        pl.lit("x").alias(name) for name in "invoice_id merchant_id description price_id meter_id meter".split()
    )
    filled = frame.with_columns(
        pl.int_range(pl.len()).alias("position"),
        *(pl.lit(0).alias(name) for name in ("quantity", "amount_minor", "events", "windows")),
        *(pl.lit("x").alias(name) for name in ("aggregation", "model", "input_hash")),
        *(pl.lit("[]").alias(name) for name in ("tiers", "price")),
    )

    with transaction(books) as connection:
        copy_rows(connection, invoice_lines, filled)
        found = connection.execute(select(invoice_lines.c.unrounded).order_by(invoice_lines.c.position)).scalars().all()

    assert list(found) == widest


def test_instants_and_nulls_arrive(books: Engine) -> None:
    """Microseconds and the zone are kept; a null stays one."""
    moment = datetime(2023, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)
    frame = pl.DataFrame({"event_key": ["a", "b"], "sent_at": [moment, None]}).with_columns(
        merchant_id=pl.lit("mer_1"), type=pl.lit("t"), payload=pl.lit("{}")
    )

    with transaction(books) as connection:
        copy_rows(connection, outbox, frame)
        found = connection.execute(select(outbox.c.sent_at).order_by(outbox.c.event_key)).scalars().all()

    assert list(found) == [moment, None]


def test_rows_are_part_of_the_callers_transaction(books: Engine) -> None:
    """When it fails, they were never there."""
    frame = pl.DataFrame({"event_key": ["a", "a"], "merchant_id": "m", "type": "t", "payload": "{}"})

    with pytest.raises(Conflict, match="outbox holds this already"), transaction(books) as connection:
        copy_rows(connection, outbox, frame)

    with transaction(books) as connection:
        assert connection.execute(text("SELECT count(*) FROM outbox")).scalar_one() == 0


def test_a_column_that_the_table_lacks_is_our_own_mistake(books: Engine) -> None:
    """It is found before anything is sent."""
    frame = pl.DataFrame({"event_key": ["a"], "colour": ["red"]})

    with pytest.raises(AssertionError, match="colour"), transaction(books) as connection:
        copy_rows(connection, outbox, frame)
