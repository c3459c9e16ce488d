"""Freezes what a close may see: usage stored until a cut-off, and the catalog at a version."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, select, text

from catalog.version import current_version
from core.db import transaction
from rating.tables import rating_runs

# Whoever writes an intent holds ROW EXCLUSIVE on the ledger until it commits. SHARE waits for all of them, and those
# that come later take their time stamp later, so no block can appear at or before the cut-off once it is read.
LOCK_LEDGER = text("LOCK TABLE stream_blocks IN SHARE MODE")
LOCK_WAIT_MS = 10_000
# A block that is not sealed may still be missing in ClickHouse: nothing from its time stamp on is counted. The clock
# is that of Postgres, because ``stored_at`` was read from it.
CUTOFF = text("""
    SELECT least(clock_timestamp(), min(intended_at) - interval '1 microsecond')
    FROM stream_blocks WHERE state = 'intent'
""")


@dataclass(frozen=True, slots=True)
class Freeze:
    """The inputs of a close. Periods that ended by ``ended_by`` are due; the same freeze gives the same lines."""

    ended_by: datetime
    cutoff: datetime
    catalog_version: int


def freeze_now(engine: Engine, now: datetime) -> Freeze:
    """A fresh freeze: everything that is sealed at this moment, and periods that ended before it and before ``now``.

    Raises ``Transient`` when the ledger stays locked by others.
    """
    with transaction(engine) as connection:
        connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": f"{LOCK_WAIT_MS}ms"})
        connection.execute(LOCK_LEDGER)
        cutoff: datetime = connection.execute(CUTOFF).scalar_one()
        return Freeze(min(now, cutoff), cutoff, current_version(connection))


def freezes_left(connection: Connection, period: str) -> dict[Freeze, dict[str, str]]:
    """The freezes of runs that were claimed and never recorded, each with its runs by merchant."""
    columns = rating_runs.c
    left: dict[Freeze, dict[str, str]] = {}
    rows = connection.execute(
        select(columns.ended_by, columns.cutoff, columns.catalog_version, columns.merchant_id, columns.run_id)
        .where(columns.period == period, columns.state == "claimed")
        .order_by(columns.claimed_at, columns.run_id)
    )
    for ended_by, cutoff, catalog_version, merchant_id, run_id in rows:
        left.setdefault(Freeze(ended_by, cutoff, catalog_version), {})[merchant_id] = run_id
    return left
