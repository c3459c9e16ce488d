"""Credit: what a negative subtotal leaves over, for the customer's next invoices in the same currency.

Nobody is sent an invoice over less than nothing. An invoice whose lines add up below zero has the total 0, and the rest
is credit; the next invoices of the customer with that merchant take it, in the order of their ids, until it is used up.
Every movement is an entry with the balance after it. Credit that a close makes is used from the next close on.
"""

from __future__ import annotations

from typing import Final

import polars as pl
from sqlalchemy import Connection

from catalog.read_frame import read_frame
from core.frames import Schema, checked

ACCOUNT: Final = ("merchant_id", "customer_id", "currency")

# One row a customer and currency: the last entry's number and the balance after it.
BALANCES: Final[Schema] = {
    **dict.fromkeys(ACCOUNT, pl.String()),
    "last_sequence": pl.Int64(),
    "balance": pl.Int64(),
}
# Positive amounts are credit given, negative ones credit used.
CREDIT_ENTRIES: Final[Schema] = {
    **dict.fromkeys(ACCOUNT, pl.String()),
    "sequence": pl.Int64(),
    "invoice_id": pl.String(),
    "amount_minor": pl.Int64(),
    "balance_minor": pl.Int64(),
}

QUERY = """
    SELECT DISTINCT ON (merchant_id, customer_id, currency) merchant_id, customer_id, currency, sequence, balance_minor
    FROM credit_entries WHERE merchant_id = ANY(%(merchants)s::text[])
    ORDER BY merchant_id, customer_id, currency, sequence DESC
"""


def no_credit() -> pl.DataFrame:
    """BALANCES of nobody."""
    return pl.DataFrame(schema=BALANCES)


def load_balances(connection: Connection, merchant_ids: list[str]) -> pl.DataFrame:
    """BALANCES of the customers of some merchants."""
    return read_frame(connection, QUERY, {"merchants": merchant_ids}, BALANCES)


def with_credit(invoices: pl.DataFrame, balances: pl.DataFrame) -> pl.DataFrame:
    """Add ``credit_minor`` and ``total_minor`` to invoices with a ``subtotal_minor``; balances are BALANCES.

    A negative subtotal is brought to zero; a positive one is paid from the balance as far as it goes.
    """
    payable = pl.max_horizontal("subtotal_minor", pl.lit(0, dtype=pl.Int64))
    before = (payable.cum_sum() - payable).over(ACCOUNT)
    left = pl.max_horizontal(pl.col("balance") - before, pl.lit(0, dtype=pl.Int64))
    used = pl.min_horizontal(payable, left)
    return (
        invoices.join(checked(balances, BALANCES), on=ACCOUNT, how="left", maintain_order="left")
        .with_columns(pl.col("balance", "last_sequence").fill_null(0))
        .with_columns(
            credit_minor=pl.when(pl.col("subtotal_minor") < 0).then(-pl.col("subtotal_minor")).otherwise(used * -1)
        )
        .with_columns(total_minor=pl.col("subtotal_minor") + pl.col("credit_minor"))
    )


def entries(invoices: pl.DataFrame) -> pl.DataFrame:
    """CREDIT_ENTRIES of invoices as ``with_credit`` made them, in their order."""
    moved = invoices.filter(pl.col("credit_minor") != 0).with_columns(amount_minor=pl.col("credit_minor"))
    return checked(
        moved.with_columns(
            sequence=pl.col("last_sequence") + pl.int_range(1, pl.len() + 1, dtype=pl.Int64).over(ACCOUNT),
            balance_minor=pl.col("balance") + pl.col("amount_minor").cum_sum().over(ACCOUNT),
        ),
        CREDIT_ENTRIES,
    )
