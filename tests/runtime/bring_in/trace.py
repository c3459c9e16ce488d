"""The real trace where it is at hand; elsewhere a file of the same shape, rows and totals made in its place."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

REAL = Path(__file__).parents[4] / "shared" / "data" / "azure_llm_2023" / "code.csv"

ROWS = 8_819
CONTEXT_TOKENS = 18_059_974
GENERATED_TOKENS = 245_896
FIRST = datetime.fromisoformat("2023-11-16T18:17:03.979960+00:00")
LAST = datetime.fromisoformat("2023-11-16T19:14:19.928016+00:00")
FIRST_ROW = ("4808", "10")


def trace_file(folder: Path) -> Path:
    """A CSV with Windows line ends and times of seven decimals."""
    if REAL.exists():
        return REAL
    path = folder / "code.csv"
    context = shared_out(CONTEXT_TOKENS, int(FIRST_ROW[0]))
    generated = shared_out(GENERATED_TOKENS, int(FIRST_ROW[1]))
    step = (LAST - FIRST) / (ROWS - 1)
    times = [FIRST + step * row for row in range(ROWS - 1)] + [LAST]
    lines = ["TIMESTAMP,ContextTokens,GeneratedTokens"]
    lines += [f"{written(time)},{one},{two}" for time, one, two in zip(times, context, generated, strict=True)]
    path.write_bytes("\r\n".join([*lines, ""]).encode())
    return path


def written(time: datetime) -> str:
    """As the trace writes times."""
    return f"{time:%Y-%m-%d %H:%M:%S.%f}0"


def shared_out(total: int, first: int) -> list[int]:
    """A total over all rows, of which the first is given."""
    each, rest = divmod(total - first, ROWS - 1)
    return [first, *(each + (row < rest) for row in range(ROWS - 1))]
