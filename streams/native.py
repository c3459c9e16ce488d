"""Windows in ClickHouse's own format, sorted as their table is: the engine converts little and sorts nothing.

The format is one block: how many columns and rows, then each column's name, type and values
(https://clickhouse.com/docs/interfaces/formats/Native). A text has its length before it as a varint. A column of few
distinct texts goes as a dictionary and numbers, whatever the table's own type is. A block's digest is taken from its
rows as the stream made them and knows nothing of the order here.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pyarrow as pa

from core.compiled import compiled
from ingest.event import INSTANT
from streams.arrow import one_chunk
from streams.rows import KEY, QUANTITY, SECOND
from streams.table_order import ORDERS, Numbered, number_column, table_order
from streams.texts import U8, Places, Texts, texts_of

PLAIN = {
    pa.uint8(): "UInt8",
    pa.uint16(): "UInt16",
    pa.uint32(): "UInt32",
    pa.uint64(): "UInt64",
    INSTANT: "DateTime64(6, 'UTC')",
    QUANTITY: "Decimal(38, 12)",
    KEY: "FixedString(16)",
}
# Rows mostly say there what the row before said, which makes them cheap to number. Columns that the table is sorted by
# are numbered anyway; to number others costs more here than it spares the engine.
REPEATED = ("meter", "aggregation")
# A dictionary that is hardly shorter than its column is not worth it.
ROWS_A_TEXT_MIN = 4

# As the engine writes it: the dictionary comes with the column; added is the width of its numbers, by place in WIDTHS.
DICTIONARY_VERSION, DICTIONARY_IN_COLUMN = 1, 0x600
WIDTHS = ("<u1", "<u2", "<u4")
# Of a text's 31-bit length as a varint.
LENGTH_BYTES_MAX = 5

Piece = bytes | memoryview


def native_block(table: str, rows: pa.Table) -> bytes:
    """Rows, at least one, of a table in ORDERS; the columns stay as they are, the rows are sorted."""
    names = [name for name in rows.column_names if name in REPEATED or name in ORDERS[table]]
    numbered = {
        name: number_column(table, rows, name) for name in names if pa.types.is_string(rows.schema.field(name).type)
    }
    order = table_order(table, rows, numbered)
    pieces: list[Piece] = [varint(rows.num_columns), varint(rows.num_rows)]
    for name in rows.column_names:
        column = one_chunk(rows, name)
        assert column.null_count == 0, "what is stored has no nulls"
        kind, values = column_pieces(column, order, numbered.get(name))
        pieces += [said(name), said(kind), *values]
    return b"".join(pieces)


def column_pieces(column: pa.Array, order: Places, numbered: Numbered | None) -> tuple[str, list[Piece]]:
    """A column's type, and its values in an order."""
    if numbered is not None and len(numbered.distinct) * ROWS_A_TEXT_MIN <= len(order):
        return "LowCardinality(String)", list(dictionary_pieces(numbered, order))
    if pa.types.is_string(column.type):
        return "String", [pack_texts(texts_of(column), order).data]
    if column.type == SECOND:
        return "DateTime('UTC')", [np.asarray(column.view(pa.int64()))[order].astype("<u4").data.cast("B")]
    return PLAIN[column.type], [plain_values(column, order)]


def dictionary_pieces(numbered: Numbered, order: Places) -> Iterator[Piece]:
    """The distinct texts, and the number of each row's."""
    count = len(numbered.distinct)
    width = next(place for place in range(len(WIDTHS)) if count <= 256 ** (1 << place))
    yield words(DICTIONARY_VERSION, DICTIONARY_IN_COLUMN | width, count)
    yield pack_texts(texts_of(numbered.distinct), np.arange(count)).data
    yield words(len(order))
    yield numbered.numbers.astype(WIDTHS[width])[order].data.cast("B")


def plain_values(column: pa.Array, order: Places) -> Piece:
    """Values of a fixed width, as they lie in memory."""
    width = column.type.bit_width // 8
    # In words, which numpy moves one by one.
    word = min(width, 8)
    first, count = column.offset * width, len(column) * width // word
    values = np.frombuffer(column.buffers()[1], f"<u{word}", count, first).reshape(-1, width // word)
    return values.take(order, axis=0).data.cast("B")


def words(*numbers: int) -> Piece:
    """Whole numbers of 64 bits."""
    return np.array(numbers, "<u8").data.cast("B")


def varint(number: int) -> bytes:
    """Seven bits a byte, the lowest first."""
    found = bytearray()
    while number >= 128:
        found.append(number & 127 | 128)
        number >>= 7
    return bytes([*found, number])


def said(text: str) -> bytes:
    """A text with its length before it."""
    data = text.encode()
    return varint(len(data)) + data


@compiled
def pack_texts(texts: Texts, chosen: Places) -> U8:
    """The chosen texts one after the other, each with its length before it. None is chosen twice."""
    bounds, data = texts.bounds, texts.data
    packed = np.empty(bounds[-1] - bounds[0] + len(chosen) * LENGTH_BYTES_MAX, np.uint8)
    at = 0
    for place in chosen:
        length = bounds[place + 1] - bounds[place]
        while length >= 128:
            packed[at] = length & 127 | 128
            length >>= 7
            at += 1
        packed[at] = length
        at += 1
        for letter in range(bounds[place], bounds[place + 1]):
            packed[at] = data[letter]
            at += 1
    return packed[:at]
