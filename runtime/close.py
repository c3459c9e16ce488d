"""Closes a period: rates what is due, drafts its invoices in the same transaction, then numbers them.

    1. lock      one close of a period at a time
    2. rate      freeze, find what is due, work out charge lines; record them with their drafts, all or nothing
    3. finalize  number the drafts, one short transaction a batch

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
from invoicing.draft import Drafts, draft, record_drafts
from invoicing.finalize import finalize_drafts
from rating.lock import sole_close
from rating.period_close import Closing, Scope, close_period


@dataclass(frozen=True, slots=True, eq=False)
class Closed:
    """What a close did: its charge lines, the invoices they make, and how many drafts got their numbers."""

    closing: Closing
    drafts: Drafts
    finalized: int


def close_books(
    books: Engine,
    store: UsageStore,
    clock: Clock,
    period: str,
    *,
    merchant: str | None = None,
    commit: bool = True,
    on_step: Callable[[str], None],
) -> Closed:
    """Close a month such as ``2023-11`` for all merchants or for one (by code); with ``commit`` off write nothing.

    Raises ``Refused`` for a month or merchant that does not exist, ``Conflict`` while another close of the period
    runs, ``Transient`` when a store does not answer; it can always be called again.
    """
    check_month(period)
    merchant_ids = None if merchant is None else [merchant_named(books, merchant)]
    scope = Scope(period, clock.now(), merchant_ids)
    with sole_close(books, period):
        closing = close_period(books, store, scope, hand_on=draft_into, on_step=on_step, commit=commit)
        on_step("finalize")
        finalized = finalize_drafts(books, period, clock.now(), merchant_ids) if commit else 0
    return Closed(closing, draft(closing.lines), finalized)


def draft_into(connection: Connection, lines: pl.DataFrame) -> None:
    """Draft the invoices of charge lines in the transaction that records the lines."""
    record_drafts(connection, draft(lines))


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
