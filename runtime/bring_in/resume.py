"""Where an interrupted import goes on: a small file under the home folder, gone once the import is complete."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path

import orjson


@dataclass(frozen=True, slots=True)
class Mark:
    """All rows up to ``row`` are answered; the counts are theirs."""

    row: int = 0
    accepted: int = 0
    failed: int = 0


def mark_path(home: Path, import_: str, source: str, gateway_url: str) -> Path:
    """The file for one import into one gateway."""
    place = "".join(char if char.isalnum() else "-" for char in f"{source}-{gateway_url}")
    return home / "imports" / f"{import_}-{place[:100]}.json"


def read_mark(path: Path) -> Mark:
    """The mark, or row 0 when there is none that can be read: beginning again is always safe."""
    try:
        return Mark(**orjson.loads(path.read_bytes()))
    except (FileNotFoundError, orjson.JSONDecodeError, TypeError):
        return Mark()


def write_mark(path: Path, mark: Mark) -> None:
    """Replace the mark in one step."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_suffix(".draft")
    draft.write_bytes(orjson.dumps(asdict(mark)))
    draft.replace(path)


def clear_mark(path: Path) -> None:
    """Forget the mark."""
    path.unlink(missing_ok=True)
