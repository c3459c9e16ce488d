"""Lets one close of a period run at a time."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Engine, text

from core.db import transaction
from core.errors import Conflict

TRY_LOCK = text("SELECT pg_try_advisory_xact_lock(hashtextextended(:name, 0))")


@contextmanager
def sole_close(engine: Engine, period: str) -> Iterator[None]:
    """Hold the only close of ``period`` for the length of a block; raises ``Conflict`` when another one runs.

    The lock belongs to a connection: a close that is killed lets go of it at once.
    """
    with transaction(engine) as connection:
        if not connection.execute(TRY_LOCK, {"name": f"millrace close {period}"}).scalar_one():
            raise Conflict("close_running", f"another close of {period} is running; this one did nothing")
        yield
