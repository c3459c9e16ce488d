"""Gives out invoice numbers: per merchant, in order, without a gap and without a twin."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, select, update
from sqlalchemy.dialects.postgresql import insert

from catalog.tables import merchants
from invoicing.tables import invoice_sequences

DIGITS_MIN = 6


@dataclass(frozen=True, slots=True)
class Numbers:
    """The next numbers of a merchant, whose sequence stays locked until the transaction ends."""

    prefix: str
    first: int


def hold_numbers(connection: Connection, merchant_id: str) -> Numbers:
    """Lock a merchant's sequence and say where it stands; made on first use, with the merchant's code as prefix."""
    code: str = connection.execute(select(merchants.c.code).where(merchants.c.merchant_id == merchant_id)).scalar_one()
    first_use = {"merchant_id": merchant_id, "prefix": code.upper(), "next_number": 1}
    connection.execute(insert(invoice_sequences).values(first_use).on_conflict_do_nothing())
    columns = invoice_sequences.c
    row = connection.execute(
        select(columns.prefix, columns.next_number).where(columns.merchant_id == merchant_id).with_for_update()
    ).one()
    return Numbers(row.prefix, row.next_number)


def take_numbers(connection: Connection, merchant_id: str, count: int) -> None:
    """Move the sequence past ``count`` numbers that this transaction has used."""
    connection.execute(
        update(invoice_sequences)
        .where(invoice_sequences.c.merchant_id == merchant_id)
        .values(next_number=invoice_sequences.c.next_number + count)
    )
