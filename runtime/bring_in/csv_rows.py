"""CSV: every field as the text in the file; any line ends, a byte order mark, quoted fields over several lines."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from pathlib import Path

from core.errors import Refused
from runtime.bring_in.row import Row


class CsvRows:
    """A CSV file with a header. Raises ``Refused`` when the file as a whole cannot be read so."""

    def __init__(self, path: Path, delimiter: str = ",") -> None:
        self._bytes_max = max(path.stat().st_size, 1)
        self._raw = path.open("rb")
        text = io.TextIOWrapper(self._raw, encoding="utf-8-sig", newline="")
        self._records = csv.reader(text, delimiter=delimiter, strict=True)
        try:
            self._header = self._read_header(path)
        except Refused:
            self.close()
            raise

    def _read_header(self, path: Path) -> list[str]:
        header = next(self._read(), None)
        if header is None:
            raise Refused("file_empty", f"{path} holds no header")
        names = [name.strip() for name in header]
        repeated = sorted({name for name in names if names.count(name) > 1})
        if repeated:
            raise Refused("columns_repeated", f"{path} has several columns named {', '.join(repeated)}")
        return names

    @property
    def columns(self) -> list[str] | None:
        """The header's names."""
        return self._header

    def rows(self) -> Iterator[Row]:
        """The records after the header; a record with more or fewer fields than the header is a fault."""
        names = self._header
        for number, record in enumerate(self._read(), 1):
            if len(record) != len(names):
                yield Row(number, {}, f"the row has {len(record)} fields and the header {len(names)}")
            else:
                yield Row(number, {name: text for name, text in zip(names, record, strict=True) if text})

    def _read(self) -> Iterator[list[str]]:
        while True:
            try:
                record = next(self._records)
            except StopIteration:
                return
            except UnicodeDecodeError as error:
                raise Refused("file_not_utf8", f"the file is not UTF-8: {error}") from error
            except csv.Error as error:
                raise Refused("file_not_csv", f"line {self._records.line_num}: {error}") from error
            if record:
                yield record

    def share_read(self) -> float:
        """By bytes."""
        return self._raw.tell() / self._bytes_max

    def close(self) -> None:
        """Close the file."""
        self._raw.close()
