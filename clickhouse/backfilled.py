"""How many events a backfill has, by what became of them."""

from __future__ import annotations

from clickhouse.client import UsageStore

# ``waiting`` is what is left of ``events`` once those that were counted, refused or taken back are gone.
COUNTS = """
    SELECT countIf(action = 'backfill' AND fate = 'held') AS events,
        countIf(action = 'release' AND fate = 'stored') AS counted,
        countIf(action = 'retract' AND fate = 'retraction') AS taken_back,
        countIf(action = 'backfill' AND fate = 'duplicate') AS duplicates,
        countIf(action = 'backfill' AND fate = 'conflict') AS conflicts,
        countIf(fate = 'rejected') AS rejected
    FROM usage_events WHERE merchant_id = {merchant_id:String} AND action IN ('backfill', 'release', 'retract')
        AND correction_id = {backfill_id:String}
"""


def count_backfilled(store: UsageStore, merchant_id: str, backfill_id: str) -> dict[str, int]:
    """Counts by name: events that it brought in, counted, taken back; duplicates, conflicts and rejected ones."""
    bound = {"merchant_id": merchant_id, "backfill_id": backfill_id}
    (row,) = store.query_frame(COUNTS, bound).iter_rows(named=True)
    return {name: int(count) for name, count in row.items()}
