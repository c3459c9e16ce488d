"""Finalizes drafts: each gets its number and its outbox event in the same transaction, and is never written again.

One short transaction numbers a batch of one merchant's drafts, in the order of their ids:

    1. lock the merchant's sequence       whoever else numbers waits here
    2. number the batch, note the events  in one statement
    3. move the sequence on

A crash in between undoes all three, so that no number is lost; drafts that are left are numbered by the next call.
"""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Connection, Engine, select, text

from core.db import transaction
from invoicing.number import DIGITS_MIN, hold_numbers, take_numbers
from invoicing.states import states_before
from invoicing.tables import invoices

# A batch holds its merchant's sequence for well under a second.
BATCH_INVOICES_MAX = 10_000
EVENT_TYPE = "invoice.finalized"

NUMBER_BATCH = text("""
    WITH chosen AS (
        SELECT invoice_id, row_number() OVER (ORDER BY invoice_id) - 1 + CAST(:first AS bigint) AS place
        FROM invoices
        WHERE period = :period AND merchant_id = :merchant_id AND state = ANY(:before)
        ORDER BY invoice_id
        LIMIT :batch
    ), done AS (
        UPDATE invoices SET state = 'finalized', issued_at = :now,
            number = :prefix || '-' || lpad(place::text, greatest(:digits, length(place::text)), '0')
        FROM chosen WHERE chosen.invoice_id = invoices.invoice_id
        RETURNING invoices.*
    ), told AS (
        INSERT INTO outbox (event_key, merchant_id, type, payload)
        SELECT :type || ':' || invoice_id, merchant_id, :type, jsonb_build_object(
            'invoice_id', invoice_id, 'number', number, 'customer_id', customer_id, 'subject', subject,
            'subscription_id', subscription_id, 'period', period, 'currency', currency,
            'total_minor', total_minor, 'issued_at', issued_at)
        FROM done ORDER BY invoice_id
    )
    SELECT count(*) FROM done
""")


def finalize_drafts(engine: Engine, period: str, now: datetime, merchant_ids: list[str] | None = None) -> int:
    """Number every draft of a period, of all merchants or of some, and return how many there were.

    Can be called again at any time. Raises ``Transient`` when Postgres does not answer; batches already done stay.
    """
    with transaction(engine) as connection:
        waiting = merchants_with_drafts(connection, period)
    return sum(
        finalize_merchant(engine, period, merchant_id, now)
        for merchant_id in waiting
        if merchant_ids is None or merchant_id in merchant_ids
    )


def merchants_with_drafts(connection: Connection, period: str) -> list[str]:
    """The merchants that have drafts in a period."""
    statement = (
        select(invoices.c.merchant_id)
        .where(invoices.c.period == period, invoices.c.state.in_(states_before("finalized")))
        .distinct()
        .order_by(invoices.c.merchant_id)
    )
    return list(connection.execute(statement).scalars())


def finalize_merchant(engine: Engine, period: str, merchant_id: str, now: datetime) -> int:
    """Number one merchant's drafts, batch by batch."""
    total = 0
    while True:
        with transaction(engine) as connection:
            count = number_batch(connection, period, merchant_id, now)
        total += count
        if count < BATCH_INVOICES_MAX:
            return total


def number_batch(connection: Connection, period: str, merchant_id: str, now: datetime) -> int:
    """One transaction's worth."""
    numbers = hold_numbers(connection, merchant_id)
    count: int = connection.execute(
        NUMBER_BATCH,
        {
            "first": numbers.first,
            "prefix": numbers.prefix,
            "digits": DIGITS_MIN,
            "period": period,
            "merchant_id": merchant_id,
            "before": states_before("finalized"),
            "batch": BATCH_INVOICES_MAX,
            "now": now,
            "type": EVENT_TYPE,
        },
    ).scalar_one()
    take_numbers(connection, merchant_id, count)
    return count
