"""Rows in the binary format of Postgres's COPY, made column by column, without a Python object for each.

A field is its length and its value; a null is the length -1 alone. Postgres looks for no ends of lines in it, and reads
no number and no instant from a text. The format of the values is that of its types' ``recv`` functions: integers and
instants are big-endian, instants in microseconds since 2000, and a number is groups of four decimal digits.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
from sqlalchemy import JSON, BigInteger, Column, DateTime, Integer, Numeric, SmallInteger, Text
from sqlalchemy.dialects.postgresql import JSONB

from core.limits import DECIMAL_PRECISION

# Before the first row: the format, no flags, no further header. After the last: no row, so no fields.
BEGIN: Final = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END: Final = b"\xff\xff"

BINARY: Final = pa.large_binary()
LENGTH: Final = ">i4"
NULL_LENGTH: Final = -1
EPOCH_US: Final = 946_684_800_000_000
WIDTHS: Final = ((SmallInteger, pl.Int16(), ">i2"), (BigInteger, pl.Int64(), ">i8"), (Integer, pl.Int32(), ">i4"))
JSONB_VERSION: Final = "\x01"

# A number is cut into thirds of twelve digits, the highest of fourteen, and these into groups of four. Postgres takes
# noughts at either end away.
THIRD: Final = 10**12
GROUP, GROUP_DIGITS, GROUPS, GROUPS_A_THIRD = 10_000, 4, 10, 3
NEGATIVE: Final = 0x4000
Flags = npt.NDArray[np.bool_]
# How a value of each row is written, for numpy, and the values, or one for all rows.
Even = tuple[Any, Any]


def binary_rows(frame: pl.DataFrame, columns: Sequence[Column[Any]]) -> memoryview:
    """The rows of a frame, with the ``columns`` of a table in their order, which the frame has by name.

    They stand between BEGIN and END, and as many times as there are parts. A value that its column has no room for
    stops us, but for texts: Postgres looks into those.
    """
    # What is as long in every row is gathered, over columns, until something else comes between: there is less to join.
    even: list[Even] = [(">i2", len(columns))]
    pieces: list[Any] = []
    for column in columns:
        evenly, uneven = field(frame[column.name], column)
        even += evenly
        if uneven is not None:
            pieces += (laid(even, frame.height), uneven)
            even = []
    pieces += [laid(even, frame.height)] if even else []
    rows = pc.binary_join_element_wise(*pieces, pa.scalar(b"", BINARY))
    return memoryview(rows.buffers()[2])[: pc.sum(pc.binary_length(rows)).as_py() or 0]


def field(values: pl.Series, column: Column[Any]) -> tuple[list[Even], Any]:
    """Lengths and values of a column: what is as long in every row, and the bytes that are not, or nothing."""
    kind, nulls = column.type, values.null_count()
    if nulls == len(values):
        return [(LENGTH, NULL_LENGTH)], None
    is_null = values.is_null().to_numpy() if nulls else None
    if isinstance(kind, Text | JSON):
        return of_texts(JSONB_VERSION + values if isinstance(kind, JSONB) else values, is_null)
    if isinstance(kind, DateTime):
        assert isinstance(values.dtype, pl.Datetime) and values.dtype.time_zone, f"{column} has instants"
        since = values.dt.epoch("us").fill_null(EPOCH_US).to_numpy() - EPOCH_US
        return of_size(since, ">i8", is_null)
    if isinstance(kind, Numeric):
        return of_size(digits(values, kind.scale or 0), ">i2", is_null)
    width, written = next((width, written) for whole, width, written in WIDTHS if isinstance(kind, whole))
    return of_size(values.cast(width).fill_null(0).to_numpy(), written, is_null)


def of_texts(values: pl.Series, is_null: Flags | None) -> tuple[list[Even], Any]:
    """Texts in UTF-8; one that all rows share is as long in every row."""
    said = values.cast(pl.String)
    if is_null is None and said[0] == said[-1] and (said == said[0]).all():
        shared: bytes = said[0].encode()
        return [(LENGTH, len(shared)), (f"V{len(shared)}", np.void(shared))] if shared else [(LENGTH, 0)], None
    texts = said.fill_null("").to_arrow().cast(BINARY)
    return [(LENGTH, lengths(pc.binary_length(texts).to_numpy(), is_null))], texts


def of_size(values: npt.NDArray[Any], written: str, is_null: Flags | None) -> tuple[list[Even], Any]:
    """Values that are all of one size, row by row; among nulls they are not, for those have no bytes."""
    inner = values.shape[1:]
    size = np.dtype((written, inner)).itemsize
    if is_null is None:
        return [(LENGTH, size), ((written, inner), values)], None
    kept = values[~is_null].astype(written).reshape(-1, *inner)
    ends = np.concatenate([[0], np.cumsum(~is_null)]).astype(np.int64) * size
    return [(LENGTH, lengths(np.full(len(values), size), is_null))], of_bytes(kept, ends)


def lengths(values: npt.NDArray[Any], is_null: Flags | None) -> npt.NDArray[Any]:
    """What stands before each value."""
    return values if is_null is None else np.where(is_null, NULL_LENGTH, values)


def laid(even: Sequence[Even], height: int) -> Any:
    """Values beside each other, row by row: of each how it is written, and those of the rows or one for all."""
    rows = np.empty(height, dtype=np.dtype([(f"f{place}", written) for place, (written, _) in enumerate(even)]))
    for place, (_, values) in enumerate(even):
        rows[f"f{place}"] = values
    return of_bytes(rows, np.arange(height + 1, dtype=np.int64) * rows.itemsize)


def of_bytes(values: npt.NDArray[Any], ends: npt.NDArray[np.int64]) -> Any:
    """The bytes of values, cut at their ends."""
    return pa.LargeBinaryArray.from_buffers(BINARY, len(ends) - 1, [None, pa.py_buffer(ends), pa.py_buffer(values)])


def digits(values: pl.Series, scale: int) -> npt.NDArray[np.int16]:
    """Decimals as ``numeric_recv`` reads them: how many groups, where the first stands, sign, scale, and the groups."""
    assert scale % GROUP_DIGITS == 0, "the point is between two groups"
    numbers = values.cast(pl.Decimal(DECIMAL_PRECISION, scale)) if values.dtype.is_integer() else values
    assert numbers.dtype == pl.Decimal(DECIMAL_PRECISION, scale), f"{values.name} has other places: {values.dtype}"
    units, third = pl.col("units"), pl.lit(THIRD, dtype=pl.Int128)
    parts = (
        pl.DataFrame({"units": numbers.reinterpret(dtype=pl.Int128).fill_null(0)})
        .select(is_negative=units < 0, units=units.abs())
        .select("is_negative", low=units % third, rest=units // third)
        .select("is_negative", "low", middle=pl.col("rest") % third, high=pl.col("rest") // third)
    )
    told = np.empty((len(values), GROUPS_A_THIRD + 1 + GROUPS), dtype=">i2")
    told[:, 0], told[:, 1], told[:, 3] = GROUPS, GROUPS - scale // GROUP_DIGITS - 1, scale
    told[:, 2] = parts["is_negative"].to_numpy() * NEGATIVE
    place = told.shape[1]
    for name, groups in (("low", GROUPS_A_THIRD), ("middle", GROUPS_A_THIRD), ("high", GROUPS_A_THIRD + 1)):
        rest = parts[name].cast(pl.Int64).to_numpy()
        for _ in range(groups):
            place -= 1
            rest, told[:, place] = rest // GROUP, rest % GROUP
    return told
