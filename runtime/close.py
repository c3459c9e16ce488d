"""Closes a period: rates what is due, drafts its invoices in the same transaction, then numbers them.

    1. lock      one close of a period at a time
    2. drain     wait until everything acknowledged so far is stored, and find what lacks
    3. rate      freeze, find what is due and what late usage has changed, work out charge lines and adjustments; record
                 them with their drafts, all or nothing
    4. finalize  number the drafts, one short transaction a batch
    5. late      find what was stored for the period after it was billed

A close that is killed anywhere is completed by the next one, with the same cut-off, and so with the same invoices.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Connection, Engine, select

from catalog.tables import merchants
from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.errors import Refused
from core.period import parse_month
from invoicing.draft import Drafts, draft_settled, record_drafts, together
from invoicing.finalize import finalize_drafts
from rating.completeness import Gap
from rating.late import find_late
from rating.lock import sole_close
from rating.period_close import Closing, HandOn, Scope, close_period
from runtime.completeness import OnWait, Stream, wait_until_complete
from runtime.moving_backfills import moving_backfills


@dataclass(frozen=True, slots=True)
class Completeness:
    """What a close asks of the stream. Without a ``stream`` the ledger alone is asked.

    ``even_if_incomplete`` closes over gaps; the runs keep a record of them.
    """

    stream: Stream | None = None
    wait_s: float = 0.0
    even_if_incomplete: bool = False
    on_wait: OnWait = lambda _gaps: None


LEDGER_ALONE = Completeness()


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """What a close did: its charge lines, the invoices they make, and how many drafts got their numbers.

    ``gaps`` is what the stream lacked, and ``late`` (``rating.late.LATE``) what was stored after it was billed.
    """

    closing: Closing
    drafts: Drafts
    finalized: int
    gaps: tuple[Gap, ...]
    late: pl.DataFrame


def close_books(
    books: Engine,
    store: UsageStore,
    clock: Clock,
    period: str,
    *,
    merchant: str | None = None,
    commit: bool = True,
    completeness: Completeness = LEDGER_ALONE,
    on_step: Callable[[str], None],
) -> Closed:
    """Close a month such as ``2023-11`` for all merchants or for one (by code); with ``commit`` off write nothing.

    Raises ``Refused`` for a month or merchant that does not exist, ``Conflict`` while another close of the period
    runs or when the stream lacks something that may be due, ``Transient`` when a store does not answer; it can always
    be called again.
    """
    check_month(period)
    merchant_ids = None if merchant is None else [merchant_named(books, merchant)]
    with sole_close(books, period):
        on_step("drain")
        gaps = wait_until_complete(
            books,
            completeness.stream,
            clock,
            wait_s=completeness.wait_s,
            on_wait=completeness.on_wait,
            more=lambda connection: moving_backfills(connection, period, merchant_ids),
        )
        scope = Scope(period, clock.now(), merchant_ids, gaps, completeness.even_if_incomplete)
        drafted: list[Drafts] = []
        closing = close_period(books, store, scope, hand_on=draft_into(drafted), on_step=on_step, commit=commit)
        on_step("finalize")
        finalized = finalize_drafts(books, period, clock.now(), merchant_ids) if commit else 0
        if not commit:
            with transaction(books) as connection:
                drafted = [draft_settled(connection, closing.lines, closing.adjustments)]
    on_step("late")
    late = find_late(books, store, period, merchant_ids)
    return Closed(closing, together(drafted), finalized, gaps, late)


def draft_into(drafted: list[Drafts]) -> HandOn:
    """Draft invoices in the transaction that records what they are made of; ``drafted`` is given each of them."""

    def hand_on(connection: Connection, lines: pl.DataFrame, adjustments: pl.DataFrame) -> None:
        drafted.append(draft_settled(connection, lines, adjustments))
        record_drafts(connection, drafted[-1])

    return hand_on


def check_month(period: str) -> None:
    """Raise ``Refused`` unless the text is a month."""
    try:
        parse_month(period)
    except ValueError as error:
        raise Refused("period_invalid", f"{period!r} is not a month such as 2023-11") from error


def merchant_named(books: Engine, code: str) -> str:
    """The id of a merchant; raises ``Refused`` when there is none of that code."""
    with transaction(books) as connection:
        found = connection.execute(select(merchants.c.merchant_id).where(merchants.c.code == code)).scalar_one_or_none()
    if found is None:
        raise Refused("merchant_unknown", f"there is no merchant {code}", status=404)
    return str(found)
