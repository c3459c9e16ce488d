"""A usage store that writes down what it is asked, and before which the process can end."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl
import pyarrow as pa

from clickhouse.client import UsageStore, read_address


class Ended(BaseException):
    """The end of a process, at a place that a test chose."""


class WatchedStore(UsageStore):
    """``asked`` has ``read``, ``insert`` or the statement of each request; before the ``ends_before``th it ends."""

    def __init__(self, url: str) -> None:
        super().__init__(read_address(url), 5, 300)
        self.asked: list[str] = []
        self.ends_before: tuple[str, int] | None = None

    def insert_frame(self, table: str, frame: pl.DataFrame | pa.Table, *, token: str) -> None:
        """See ``UsageStore``."""
        self._watch("insert")
        super().insert_frame(table, frame, token=token)

    def insert_native(self, table: str, names: Sequence[str], rows: bytes, *, token: str) -> None:
        """See ``UsageStore``."""
        self._watch("insert")
        super().insert_native(table, names, rows, token=token)

    def query_frame(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """See ``UsageStore``."""
        self._watch("read")
        return super().query_frame(sql, parameters)

    def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> None:
        """See ``UsageStore``."""
        self._watch("delete" if "DELETE" in sql else "other")
        super().command(sql, parameters)

    def _watch(self, kind: str) -> None:
        if self.ends_before == (kind, self.asked.count(kind) + 1):
            raise Ended
        self.asked.append(kind)
