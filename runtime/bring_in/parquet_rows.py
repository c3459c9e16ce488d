"""Parquet: integers and decimals as their exact text, timestamps in UTC, floats as the shortest text of their value."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import Refused
from runtime.bring_in.row import Row

BATCH_ROWS = 8_192


class ParquetRows:
    """A Parquet file, read in batches of a few thousand rows. Fields of structs get dotted names."""

    def __init__(self, path: Path) -> None:
        try:
            self._file = pq.ParquetFile(path)
        except pa.ArrowInvalid as error:
            raise Refused("file_not_parquet", f"{path} is not a Parquet file: {error}") from error
        self._rows_max = max(int(self._file.metadata.num_rows), 1)
        self._read = 0

    @property
    def columns(self) -> list[str] | None:
        """The columns' names."""
        names: list[str] = flat(self._file.schema_arrow.empty_table()).column_names
        return names

    def rows(self) -> Iterator[Row]:
        """The rows in order; nulls are left out."""
        number = 0
        for batch in self._file.iter_batches(batch_size=BATCH_ROWS):
            table = flat(pa.Table.from_batches([batch]))
            texts = [texts_of(name, column) for name, column in zip(table.column_names, table.columns, strict=True)]
            for values in zip(*texts, strict=True):
                number += 1
                named = zip(table.column_names, values, strict=True)
                yield Row(number, {name: text for name, text in named if text is not None})
            self._read += len(batch)

    def share_read(self) -> float:
        """By rows."""
        return self._read / self._rows_max

    def close(self) -> None:
        """Close the file."""
        self._file.close()


def flat(table: pa.Table) -> pa.Table:
    """The table with structs unfolded into columns with dotted names."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


def texts_of(name: str, column: pa.ChunkedArray) -> list[str | None]:
    """A column as texts; raises ``Refused`` for a type that has no plain text, such as lists."""
    if pa.types.is_decimal(column.type):
        # Arrow writes small decimals with an exponent; a quantity is to stay as plain as its file has it.
        return [None if value is None else format(value, "f") for value in column.to_pylist()]
    try:
        texts: list[str | None] = column.cast(pa.string()).to_pylist()
    except (pa.ArrowNotImplementedError, pa.ArrowInvalid) as error:
        raise Refused(
            "column_without_text", f"column {name!r} of type {column.type} cannot be sent: {error}"
        ) from error
    return texts
