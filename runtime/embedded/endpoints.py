"""Where the running engines are found: one small file that every other command reads."""

from __future__ import annotations

import json
import os
import tempfile
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Endpoints:
    """Addresses of the log, the usage store, the books and, when they run, gateway and API."""

    kafka: str
    clickhouse_url: str
    postgres_url: str
    gateway_url: str | None = None
    api_url: str | None = None


def endpoints_path(home: Path) -> Path:
    """The file below ``home``."""
    return home / "run" / "endpoints.json"


def write_endpoints(home: Path, endpoints: Endpoints) -> None:
    """Replace the file as a whole; readable by its owner alone, because the Postgres URL has a password."""
    path = endpoints_path(home)
    path.parent.mkdir(parents=True, exist_ok=True)
    known = {name: value for name, value in asdict(endpoints).items() if value is not None}
    handle, draft = tempfile.mkstemp(dir=path.parent, prefix=".endpoints-")
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(known, file, indent=2)
        file.write("\n")
    Path(draft).replace(path)


def remove_endpoints(home: Path) -> None:
    """Forget the addresses: nothing serves any more."""
    with suppress(FileNotFoundError):
        endpoints_path(home).unlink()
