"""A partition as it was before one block: all that corrections may look at besides their message."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import polars as pl
import pyarrow as pa

from streams.compiled import Compiled
from streams.fills import Fill
from streams.history import Before, EventSpan, History, WindowSpan
from streams.ledger import BlockName, Lease, Ledger
from streams.plan import Intent
from streams.retry import Retry


@dataclass(frozen=True, slots=True)
class Past:
    """Rows, catalogs and fills before a block. The same block finds the same, however often it asks."""

    before: Before
    history: History
    fills: tuple[Fill, ...]
    versions: Callable[[Collection[BlockName]], Mapping[BlockName, int]]
    catalog: Callable[[int], Compiled]

    def rows_of(self, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """All rows of some keys."""
        return self.history.rows_of(self.before, merchant_ids, keys)

    def counted_at(self, places: pl.DataFrame) -> pa.Table:
        """The rows that count at some places."""
        return self.history.counted_at(self.before, places)

    def counted_between(self, span: EventSpan) -> pa.Table:
        """The rows that count in a span."""
        return self.history.counted_between(self.before, span)

    def busy_minutes(self, span: EventSpan) -> pl.DataFrame:
        """The minutes of a span with stored rows."""
        return self.history.busy_minutes(self.before, span)

    def windows_between(self, span: WindowSpan) -> pl.DataFrame:
        """The names of a meter's windows in a span."""
        return self.history.windows_between(self.before, span)


@dataclass(frozen=True, slots=True)
class PatientHistory:
    """A history that is asked until it answers."""

    history: History
    retry: Retry

    def rows_of(self, before: Before, merchant_ids: Sequence[str], keys: Sequence[bytes]) -> pa.Table:
        """See ``History.rows_of``."""
        return self.retry("reading rows of keys", partial(self.history.rows_of, before, merchant_ids, keys))

    def counted_at(self, before: Before, places: pl.DataFrame) -> pa.Table:
        """See ``History.counted_at``."""
        return self.retry("reading counted rows", partial(self.history.counted_at, before, places))

    def counted_between(self, before: Before, span: EventSpan) -> pa.Table:
        """See ``History.counted_between``."""
        return self.retry("reading counted rows", partial(self.history.counted_between, before, span))

    def busy_minutes(self, before: Before, span: EventSpan) -> pl.DataFrame:
        """See ``History.busy_minutes``."""
        return self.retry("counting rows", partial(self.history.busy_minutes, before, span))

    def windows_between(self, before: Before, span: WindowSpan) -> pl.DataFrame:
        """See ``History.windows_between``."""
        return self.retry("reading windows", partial(self.history.windows_between, before, span))


def past_of(
    ledger: Ledger, history: History, catalog: Callable[[int], Compiled], retry: Retry, *, lease: Lease, intent: Intent
) -> Past:
    """What lies before an announced block. Asks patiently; raises ``Stop`` when something stays out of reach."""
    given_up = retry("reading given-up blocks", lambda: ledger.abandoned(lease))
    fills = retry("reading fills", lambda: ledger.fills(lease))
    return Past(
        Before(lease.partition, intent.intended_at, given_up),
        PatientHistory(history, retry),
        tuple(fill for fill in fills if fill.filled_at < intent.intended_at),
        lambda blocks: retry("reading catalog versions", lambda: ledger.versions(lease, blocks)),
        lambda version: retry("reading the catalog", lambda: catalog(version)),
    )
