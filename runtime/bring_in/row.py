"""A row of a file before it becomes an event."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol


@dataclass(frozen=True, slots=True)
class Row:
    """A record: its number in the file (the first is 1), and its filled fields as the text that the file holds.

    ``fault`` says why a record could not be read; its fields are then empty.
    """

    number: int
    fields: dict[str, str]
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class RowFailure:
    """A row that did not become usage, and why."""

    row: int
    code: str
    message: str


class RowSource(Protocol):
    """A file that is read once from front to back, in bounded memory."""

    @property
    def columns(self) -> list[str] | None:
        """Names of all columns; none when every row may have its own."""

    def rows(self) -> Iterator[Row]:
        """The rows in order, empty lines left out."""

    def share_read(self) -> float:
        """How much of the file was read, from 0 to 1."""

    def close(self) -> None:
        """Close the file."""
