"""Cases as text tables: one line a case, columns aligned, the expected result last."""

from __future__ import annotations

from collections.abc import Iterator


def table(text: str) -> Iterator[list[str]]:
    """The cells of each line of ``a | b | c``, without the heading and without what follows ``#``."""
    lines = [line.split("#")[0].strip() for line in text.strip().splitlines()]
    for line in lines[1:]:
        if line:
            yield [cell.strip() for cell in line.split("|")]
