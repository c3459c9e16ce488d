"""The parts of chDB's extension module that are used here; it has no type hints of its own."""

from __future__ import annotations

from typing import Any, Protocol


class Result(Protocol):
    """What a finished statement tells."""

    def bytes(self) -> bytes:
        """Its output."""

    def rows_read(self) -> int:
        """Rows of its output."""

    def rows_written(self) -> int:
        """Rows inserted, those of materialized views included."""

    def bytes_written(self) -> int:
        """Bytes inserted, before compression."""

    def storage_rows_read(self) -> int:
        """Rows read from tables."""

    def storage_bytes_read(self) -> int:
        """Bytes read from tables."""

    def elapsed(self) -> float:
        """Seconds."""


class Raw(Protocol):
    """A connection. Every call but ``close`` raises ``RuntimeError`` with ClickHouse's message."""

    def query(self, sql: str, output_format: str, /, *, params: dict[str, str]) -> Result:
        """Run a statement as a whole, with bound values."""

    def classify_query(self, sql: str, /) -> dict[str, Any]:
        """Tell what a statement would do."""

    def close(self) -> None:
        """Let go."""
