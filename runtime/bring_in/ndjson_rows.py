"""NDJSON: one object a line; numbers keep their text, nested objects get dotted names, arrays become JSON text."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from core.errors import Refused
from core.limits import DEPTH_MAX
from runtime.bring_in.row import Row

LINE_BYTES_MAX = 16 * 1024 * 1024
BYTE_ORDER_MARK = b"\xef\xbb\xbf"


class NumberText(str):
    """A JSON number as it was written."""

    __slots__ = ()


class NdjsonRows:
    """A file of one JSON object a line."""

    def __init__(self, path: Path) -> None:
        self._bytes_max = max(path.stat().st_size, 1)
        self._raw = path.open("rb")

    @property
    def columns(self) -> list[str] | None:
        """Unknown: each line may have its own."""
        return None

    def rows(self) -> Iterator[Row]:
        """The lines; rows are numbered as lines are, empty ones counted and left out."""
        number = 0
        while line := self._raw.readline(LINE_BYTES_MAX):
            number += 1
            if len(line) == LINE_BYTES_MAX:
                raise Refused("line_too_long", f"line {number} is longer than {LINE_BYTES_MAX} bytes")
            line = line.removeprefix(BYTE_ORDER_MARK) if number == 1 else line
            if line.strip():
                yield read_line(number, line)

    def share_read(self) -> float:
        """By bytes."""
        return self._raw.tell() / self._bytes_max

    def close(self) -> None:
        """Close the file."""
        self._raw.close()


def read_line(number: int, line: bytes) -> Row:
    """One line as a row; a line that is no JSON object is a fault."""
    try:
        value = json.loads(line, parse_int=NumberText, parse_float=NumberText, parse_constant=_refuse_constant)
    except (ValueError, RecursionError) as error:
        return Row(number, {}, f"the line is not JSON: {error}")
    if not isinstance(value, dict):
        return Row(number, {}, "the line is not a JSON object")
    try:
        return Row(number, dict(flatten(value)))
    except ValueError as error:
        return Row(number, {}, str(error))


def flatten(value: dict[str, Any], prefix: str = "", depth: int = 1) -> Iterator[tuple[str, str]]:
    """Scalars by dotted name, as text; nulls are left out. Raises ``ValueError`` when nested too deep."""
    if depth > DEPTH_MAX:
        raise ValueError(f"objects are nested deeper than {DEPTH_MAX}")
    for name, field in value.items():
        if isinstance(field, dict):
            yield from flatten(field, f"{prefix}{name}.", depth + 1)
        elif isinstance(field, str):
            yield prefix + name, str(field)
        elif field is not None:
            yield prefix + name, to_json(field)


def to_json(value: Any) -> str:
    """JSON text of a value, numbers as they were written."""
    if isinstance(value, NumberText):
        return str(value)
    if isinstance(value, list):
        return "[" + ",".join(map(to_json, value)) + "]"
    if isinstance(value, dict):
        return "{" + ",".join(f"{json.dumps(name)}:{to_json(field)}" for name, field in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False)


def _refuse_constant(text: str) -> None:
    raise ValueError(f"{text} is not a JSON number")
