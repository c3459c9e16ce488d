"""Questions that hold the stored events against the ledger and against the promise of one copy each."""

from __future__ import annotations

from datetime import datetime

import polars as pl

from clickhouse.client import UsageStore

DOUBLED_SHOWN_MAX = 1_000

_FATES = """
    SELECT incarnation, partition, toString(merchant_id) AS merchant_id, toString(fate) AS fate, count() AS events
    FROM usage_events
    WHERE stored_at <= {cutoff:DateTime64(6, 'UTC')}
    GROUP BY ALL ORDER BY ALL
"""
_DOUBLED = """
    SELECT key, toString(any(merchant_id)) AS merchant_id, any(event_id) AS event_id, count() AS copies
    FROM usage_events
    WHERE fate = 'stored' AND action = 'event' AND stored_at <= {cutoff:DateTime64(6, 'UTC')}
        AND occurred_at >= {start:DateTime64(6, 'UTC')} AND occurred_at < {end:DateTime64(6, 'UTC')}
    GROUP BY key HAVING copies > 1 ORDER BY key LIMIT {limit:UInt32}
"""


def fates_by_partition(store: UsageStore, cutoff: datetime) -> pl.DataFrame:
    """How many events of each fate every partition and merchant has, as stored until the cut-off.

    Columns: incarnation, partition, merchant_id, fate, events. Added up they are what the log's blocks received.
    """
    return store.query_frame(_FATES, {"cutoff": cutoff})


def doubled_keys(store: UsageStore, start: datetime, end: datetime, cutoff: datetime) -> pl.DataFrame:
    """Events of a half-open span that were counted more than once; it should have no rows.

    Columns: key, merchant_id, event_id, copies. The stream's dedupe is a cache; this looks at every stored copy, but
    not at corrections, of which the last one counts by itself.
    """
    bound = {"start": start, "end": end, "cutoff": cutoff, "limit": DOUBLED_SHOWN_MAX}
    return store.query_frame(_DOUBLED, bound)
