"""Postgres reads from the binary format what was in the frame."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from random import Random

import polars as pl
import pytest
from sqlalchemy import (
    BigInteger,
    Column,
    DateTime,
    Engine,
    Integer,
    MetaData,
    Numeric,
    SmallInteger,
    Table,
    Text,
    select,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from core.binary_rows import binary_rows
from core.bulk import copy_rows
from core.db import transaction

DIGITS = 38
EVERY_KIND = Table(
    "every_kind",
    MetaData(),
    Column("place", Integer, primary_key=True),
    Column("small", SmallInteger),
    Column("large", BigInteger),
    Column("said", Text),
    Column("at", DateTime(timezone=True)),
    Column("quantity", Numeric(DIGITS, 12)),
    Column("amount", Numeric(DIGITS, 24)),
    Column("told", JSON),
    Column("kept", JSONB),
    prefixes=["TEMPORARY"],
)
SCHEMA = {
    "place": pl.Int32(),
    "small": pl.Int16(),
    "large": pl.Int64(),
    "said": pl.String(),
    "at": pl.Datetime("us", "UTC"),
    "quantity": pl.Decimal(DIGITS, 12),
    "amount": pl.Decimal(DIGITS, 24),
    "told": pl.String(),
    "kept": pl.String(),
}


def copied(books: Engine, frame: pl.DataFrame) -> list[tuple[object, ...]]:
    """What Postgres has of a frame's columns."""
    columns = [EVERY_KIND.c[name] for name in frame.columns]
    with transaction(books) as connection:
        EVERY_KIND.create(connection)
        copy_rows(connection, EVERY_KIND, frame)
        found = connection.execute(select(*columns).order_by(EVERY_KIND.c.place)).all()
        EVERY_KIND.drop(connection)
    return [tuple(row) for row in found]


def test_values_of_every_kind_arrive(books: Engine) -> None:
    """The ends of each range, instants on both sides of the format's own epoch, and the empty text."""
    before, after = datetime(1970, 1, 1, tzinfo=UTC), datetime(2262, 1, 1, 0, 0, 0, 1, tzinfo=UTC)
    small, large = 2**15, 2**63
    rows = [
        (1, -small, -large, "", before, Decimal("-0.000000000001"), Decimal("-1E-24"), '{"a": 1}', '{"a": 1}'),
        (2, small - 1, large - 1, "é", after, Decimal("1E+25"), Decimal(10000), "[]", "[]"),
    ]

    found = copied(books, pl.DataFrame(rows, schema=SCHEMA, orient="row"))

    assert found == [(*rows[0][:-2], {"a": 1}, {"a": 1}), (*rows[1][:-2], [], [])]


def test_nulls_of_every_kind_arrive(books: Engine) -> None:
    """Between values, in a first and in a last row, and in a column of nothing else."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    full = (7, 8, "said", moment, Decimal(5), Decimal(6))
    rows = [(1, *[None] * 8), (2, *full, "1", None), (3, *[None] * 8), (4, *full, "2", None), (5, *[None] * 8)]

    found = copied(books, pl.DataFrame(rows, schema=SCHEMA, orient="row"))

    # A null of JSON is told as none too.
    assert found == [rows[0], (2, *full, 1, None), rows[2], (4, *full, 2, None), rows[4]]


@pytest.mark.parametrize("said", ["", "é", "the same\n"])
def test_a_text_that_all_rows_share_arrives_in_each(books: Engine, said: str) -> None:
    """Beside texts of their own, in several rows and in a single one; and it is not taken for one that only ends so."""
    rows = [(place, said, f'"{place}"', '"s"') for place in range(3)]
    frame = pl.DataFrame(rows, schema=("place", "said", "told", "kept"), orient="row").cast({"place": pl.Int32})

    assert copied(books, frame) == [(place, said, str(place), "s") for place in range(3)]
    assert copied(books, frame[:1]) == [(0, said, "0", "s")]
    between = frame.with_columns(said=pl.Series([said, "other", said]))
    assert [row[1] for row in copied(books, between)] == [said, "other", said]


def test_decimals_of_any_length_keep_every_digit(books: Engine) -> None:
    """From one digit to 38, of both signs, with noughts at either end."""
    rng = Random(1)
    units = [rng.choice((1, -1)) * rng.randrange(10 ** rng.randint(1, DIGITS)) for _ in range(2_000)]
    units += [sign * 10**place for place in range(DIGITS) for sign in (1, -1)]
    exact = [tuple(Decimal(one).scaleb(-scale) for scale in (12, 24)) for one in units]
    rows = [(place, *numbers) for place, numbers in enumerate(exact)]
    schema = {name: SCHEMA[name] for name in ("place", "quantity", "amount")}

    assert copied(books, pl.DataFrame(rows, schema=schema, orient="row")) == rows


def test_more_rows_than_one_part_arrive_in_their_order(books: Engine) -> None:
    """Each once, and none when there are none."""
    many = pl.DataFrame({"place": range(60_001)}, schema={"place": pl.Int32()})

    assert copied(books, many) == [(place,) for place in range(60_001)]
    assert copied(books, many.clear()) == []


def test_what_a_column_has_no_room_for_is_our_own_mistake() -> None:
    """It is cut nowhere: neither a number too large for its column nor places that it has not."""
    with pytest.raises(pl.exceptions.InvalidOperationError):
        binary_rows(pl.DataFrame({"small": [2**15]}), [EVERY_KIND.c.small])
    with pytest.raises(AssertionError, match="other places"):
        binary_rows(pl.DataFrame({"quantity": [Decimal("0.5")]}), [EVERY_KIND.c.quantity])
    with pytest.raises(AssertionError, match="instants"):
        binary_rows(pl.DataFrame({"at": [datetime(2026, 1, 1)]}), [EVERY_KIND.c.at])  # noqa: DTZ001
