"""Drafts invoices for many subscriptions at once from their charge lines: one invoice a subscription and period."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import Connection

from core.bulk import copy_rows
from core.frames import Schema, checked
from invoicing.adjusted import adjustment_lines
from invoicing.credit import entries, load_balances, no_credit, with_credit
from invoicing.rounding import with_minor
from invoicing.tables import credit_entries, invoice_lines, invoices
from rating.charge import AMOUNT, CHARGE_LINES, INSTANT, QUANTITY, TIERS, tiers_json

FIRST_VERSION: Final = 1

DRAFTS: Final[Schema] = {
    "invoice_id": pl.String(),
    "merchant_id": pl.String(),
    "subscription_id": pl.String(),
    "customer_id": pl.String(),
    "subject": pl.String(),
    "plan": pl.String(),
    "state": pl.String(),
    "period": pl.String(),
    "period_start": INSTANT,
    "period_end": INSTANT,
    "version": pl.Int32(),
    "currency": pl.String(),
    "subtotal_minor": pl.Int64(),
    "credit_minor": pl.Int64(),
    "total_minor": pl.Int64(),
    "run_id": pl.String(),
    "cutoff": INSTANT,
    "catalog_version": pl.Int64(),
}

DRAFT_LINES: Final[Schema] = {
    "invoice_id": pl.String(),
    "position": pl.UInt32(),
    "merchant_id": pl.String(),
    "description": pl.String(),
    "price_id": pl.String(),
    "meter_id": pl.String(),
    "meter": pl.String(),
    "aggregation": pl.String(),
    "model": pl.String(),
    "quantity": QUANTITY,
    "unrounded": AMOUNT,
    "amount_minor": pl.Int64(),
    "tiers": TIERS,
    "price": pl.String(),
    "events": pl.UInt64(),
    "windows": pl.UInt64(),
    "input_hash": pl.String(),
    "kind": pl.String(),
    "for_period": pl.String(),
    "adjusts": pl.String(),
}
# Usage first, as it lies in charge lines; then what belongs to earlier periods, the oldest first.
ORDER: Final = ("merchant_id", "subscription_id", "period_start", "for_period", "meter", "price_id")
# What drafts are made from, of usage and of adjustments alike; the other columns are worked out.
MADE_HERE: Final = frozenset(
    {"invoice_id", "state", "version", "subtotal_minor", "credit_minor", "total_minor"}
    | {"position", "unrounded", "amount_minor"}
)
LINE_COLUMNS: Final = [*dict.fromkeys(name for name in (*DRAFTS, *DRAFT_LINES, "amount") if name not in MADE_HERE)]


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """Invoices (DRAFTS), their lines (DRAFT_LINES), and what they do to their customers' credit (CREDIT_ENTRIES)."""

    invoices: pl.DataFrame
    lines: pl.DataFrame
    credit: pl.DataFrame


def draft(
    charge_lines: pl.DataFrame, adjustments: pl.DataFrame | None = None, balances: pl.DataFrame | None = None
) -> Drafts:
    """The invoices that CHARGE_LINES and ADJUSTMENTS make, settled with BALANCES; parked lines make none.

    Each line is rounded once, and subtotals are sums of rounded lines. An invoice whose every unrounded amount is zero
    is ``skipped``: it keeps its lines, and never gets a number. A pure function, ids included.
    """
    billable = checked(charge_lines, CHARGE_LINES).filter(pl.col("parked_reason").is_null())
    nothing = pl.lit(None, dtype=pl.String)
    usage = billable.with_columns(
        kind=pl.lit("usage"), description=pl.col("meter"), for_period=nothing, adjusts=nothing
    ).select(LINE_COLUMNS)
    if adjustments is not None:
        usage = pl.concat([usage, adjustment_lines(adjustments).select(LINE_COLUMNS)])
    lines = with_minor(usage, "amount", "amount_minor").with_columns(invoice_id=invoice_id())
    ordered = lines.sort(ORDER, nulls_last=False).with_columns(
        position=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over("invoice_id"), unrounded=pl.col("amount")
    )
    settled = with_credit(totalled(ordered), no_credit() if balances is None else balances)
    return Drafts(checked(settled, DRAFTS), checked(ordered, DRAFT_LINES), entries(settled))


def invoice_id() -> pl.Expr:
    """The id of a subscription's invoice for a period, made from both, so that drafting twice makes the same one."""
    start = pl.col("period_start").dt.strftime("%Y%m%dT%H%M")
    return pl.format("inv_{}_{}", pl.col("subscription_id").str.strip_prefix("sub_"), start)


def totalled(lines: pl.DataFrame) -> pl.DataFrame:
    """One invoice for the lines of each, with its subtotal."""
    owed = (pl.col("amount") != 0).any()
    same = [name for name in DRAFTS if name in lines.columns and name != "invoice_id"]
    grouped = lines.group_by("invoice_id", maintain_order=True).agg(
        pl.col(same).first(),
        pl.col("amount_minor").sum().alias("subtotal_minor"),
        pl.when(owed).then(pl.lit("draft")).otherwise(pl.lit("skipped")).alias("state"),
    )
    return grouped.with_columns(version=pl.lit(FIRST_VERSION, dtype=pl.Int32))


def draft_settled(connection: Connection, charge_lines: pl.DataFrame, adjustments: pl.DataFrame) -> Drafts:
    """``draft`` with the credit that customers have now."""
    merchants = pl.concat([charge_lines["merchant_id"], adjustments["merchant_id"]]).unique().to_list()
    return draft(charge_lines, adjustments, load_balances(connection, merchants))


def together(parts: Sequence[Drafts]) -> Drafts:
    """What several closes drafted, as one."""
    nothing = draft(pl.DataFrame(schema=CHARGE_LINES))
    return Drafts(
        pl.concat([nothing.invoices, *(part.invoices for part in parts)]),
        pl.concat([nothing.lines, *(part.lines for part in parts)]),
        pl.concat([nothing.credit, *(part.credit for part in parts)]),
    )


def record_drafts(connection: Connection, drafts: Drafts) -> None:
    """Copy invoices, lines and credit, in the caller's transaction; what exists already is an error (``Conflict``)."""
    copy_rows(connection, invoices, drafts.invoices)
    copy_rows(connection, invoice_lines, drafts.lines.with_columns(tiers=tiers_json(pl.col("tiers"))))
    copy_rows(connection, credit_entries, drafts.credit)
