"""One supervisor a home folder."""

from __future__ import annotations

import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from core.errors import Refused


@contextmanager
def home_lock(home: Path) -> Iterator[None]:
    """Hold the home folder; raises ``Refused`` (``home_in_use``) when another supervisor does.

    The system lets go of the lock when the process ends, however it ends.
    """
    path = home / "run" / "lock"
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+", encoding="ascii") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder = file.read().strip() or "unknown"
            raise Refused("home_in_use", f"{home} is in use by process {holder}", status=409) from None
        file.seek(0)
        file.truncate()
        file.write(str(os.getpid()))
        file.flush()
        yield
