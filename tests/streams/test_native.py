"""Windows in ClickHouse's own format are the windows that Arrow would have brought, in the order of their table."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest

from clickhouse.client import UsageStore
from streams.native import native_block, pack_texts, varint
from streams.rows import KEY, QUANTITY, SCHEMAS, SECOND, UNIQUES, WINDOWS
from streams.table_order import ORDERS, number_column, table_order
from streams.texts import texts_of

ROWS = 2_000
FIRST = datetime(2023, 11, 30, tzinfo=UTC)
MOST = 10**38 - 1
# Of a byte's length, of two, of none; a zero byte, and letters of several bytes.
LONG = ["", "\0", "é", "größer 💶", "x" * 127, "y" * 128, "z" * 20_000]
Draw = Callable[[random.Random], object]

OF_KIND: dict[pa.DataType, Draw] = {
    pa.uint8(): lambda chance: chance.randrange(2**8),
    pa.uint16(): lambda chance: chance.randrange(2**16),
    pa.uint32(): lambda chance: chance.randrange(2**32),
    pa.uint64(): lambda chance: chance.choice([0, 1, 2**64 - 1]),
    # Two months, so that one insert makes two parts.
    SECOND: lambda chance: FIRST + timedelta(minutes=chance.randrange(3 * 24 * 60)),
    SCHEMAS[WINDOWS].field("stored_at").type: lambda chance: FIRST + timedelta(microseconds=chance.randrange(10**9)),
    QUANTITY: lambda chance: Decimal(chance.choice([0, 1, -1, MOST, -MOST])).scaleb(-12),
    KEY: lambda chance: chance.randbytes(16),
}


def rows_of(table: str, texts: int, seed: int = 1) -> pa.Table:
    """Rows of nothing in particular, with so many distinct texts in each column; a slice of a larger table."""
    chance = random.Random(seed)
    drawn = {}
    said_once = [*LONG, *map(str, range(texts))]

    def any_text(chance: random.Random) -> object:
        return chance.choice(said_once)

    for field in SCHEMAS[table]:
        draw = OF_KIND.get(field.type, any_text)
        drawn[field.name] = pa.array([draw(chance) for _ in range(ROWS + 7)], field.type)
    whole: pa.Table = pa.Table.from_arrays(list(drawn.values()), schema=SCHEMAS[table])
    return whole.slice(3, ROWS)


@pytest.mark.parametrize("table", ORDERS)
@pytest.mark.parametrize("texts", [1, 300, 10**6])
def test_rows_are_stored_as_arrow_would_have_brought_them(usage_store: UsageStore, table: str, texts: int) -> None:
    """With dictionaries of one byte's numbers and of two, and with hardly a text said twice."""
    rows = rows_of(table, texts)
    usage_store.command(f"CREATE TABLE by_arrow AS {table}")

    usage_store.insert_frame("by_arrow", rows, token="a")
    usage_store.insert_native(table, rows.column_names, native_block(table, rows), token="n")

    for left, right in ((table, "by_arrow"), ("by_arrow", table)):
        there = usage_store.query_frame(f"SELECT count() AS n FROM {left}")["n"][0]
        missing = usage_store.query_frame(
            f"SELECT count() AS n FROM (SELECT * FROM {left} EXCEPT ALL SELECT * FROM {right})"
        )
        assert (there, missing["n"][0]) == (ROWS, 0)


def test_both_formats_share_a_token(usage_store: UsageStore) -> None:
    """A block that was begun by one release and ends with the next is stored once."""
    rows = rows_of(WINDOWS, 3)

    usage_store.insert_frame(WINDOWS, rows, token="t")
    usage_store.insert_native(WINDOWS, rows.column_names, native_block(WINDOWS, rows), token="t")

    assert usage_store.query_frame(f"SELECT count() AS n FROM {WINDOWS}")["n"][0] == ROWS


@pytest.mark.parametrize("table", ORDERS)
def test_rows_stand_in_the_order_of_their_table(usage_store: UsageStore, table: str) -> None:
    """By the bytes of texts and by time; the tables say so themselves."""
    rows = rows_of(table, 20)
    names = ORDERS[table]
    numbered = {name: number_column(table, rows, name) for name in names if name != "window_start"}

    found = rows.take(pa.array(table_order(table, rows, numbered)))

    columns = [[said(value) for value in found.column(name).to_pylist()] for name in names]
    assert (keys := list(zip(*columns, strict=True))) == sorted(keys)
    sorting = usage_store.query_frame(
        "SELECT sorting_key FROM system.tables WHERE database = currentDatabase() AND name = {table:String}",
        {"table": table},
    )
    assert sorting["sorting_key"].to_list() == [", ".join(names)]


def said(value: object) -> object:
    """What compares as the engine does."""
    return value.encode() if isinstance(value, str) else value


def test_the_smallest_dictionary_of_numbers_is_sent() -> None:
    """256 texts fit into one byte, 257 do not."""
    sizes = []
    for texts in (256, 257):
        one = rows_of(UNIQUES, 1)
        names = [f"{number % texts:03d}" for number in range(ROWS)]
        rows = one.set_column(4, SCHEMAS[UNIQUES].field("meter"), pa.array(names))
        sizes.append(len(native_block(UNIQUES, rows)))

    # One more text of three letters with its length, and another byte for each row.
    assert sizes[1] - sizes[0] == 4 + ROWS


@pytest.mark.parametrize("length", [0, 1, 127, 128, 300, 16_383, 16_384, 2_100_000])
def test_lengths_are_varints(length: int) -> None:
    """In the loop over texts as in the header."""
    texts = pa.array(["before", "x" * length, ""], pa.string())

    packed = pack_texts(texts_of(texts), np.array([2, 1]))

    assert packed.tobytes() == b"\0" + varint(length) + b"x" * length
