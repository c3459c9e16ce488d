"""Drafts invoices for many subscriptions at once from their charge lines: one invoice a subscription and period."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import polars as pl
from sqlalchemy import Connection

from core.bulk import copy_rows
from core.frames import Schema, checked
from invoicing.rounding import with_minor
from invoicing.tables import invoice_lines, invoices
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
}


@dataclass(frozen=True, slots=True, eq=False)
class Drafts:
    """Invoices (DRAFTS) and their lines (DRAFT_LINES)."""

    invoices: pl.DataFrame
    lines: pl.DataFrame


def draft(charge_lines: pl.DataFrame) -> Drafts:
    """The invoices that CHARGE_LINES make; parked lines make none.

    Each line is rounded once, and totals are sums of rounded lines. An invoice whose every unrounded amount is zero is
    ``skipped``: it keeps its lines, and never gets a number. A pure function, ids included.
    """
    billable = checked(charge_lines, CHARGE_LINES).filter(pl.col("parked_reason").is_null())
    lines = with_minor(billable, "amount", "amount_minor").with_columns(invoice_id=invoice_id())
    ordered = lines.sort("merchant_id", "subscription_id", "period_start", "meter", "price_id").with_columns(
        position=pl.int_range(1, pl.len() + 1, dtype=pl.UInt32).over("invoice_id"),
        description=pl.col("meter"),
        unrounded=pl.col("amount"),
    )
    return Drafts(totalled(ordered), checked(ordered, DRAFT_LINES))


def invoice_id() -> pl.Expr:
    """The id of a subscription's invoice for a period, made from both, so that drafting twice makes the same one."""
    start = pl.col("period_start").dt.strftime("%Y%m%dT%H%M")
    return pl.format("inv_{}_{}", pl.col("subscription_id").str.strip_prefix("sub_"), start)


def totalled(lines: pl.DataFrame) -> pl.DataFrame:
    """One invoice for the lines of each."""
    owed = (pl.col("amount") != 0).any()
    same = [name for name in DRAFTS if name in lines.columns and name != "invoice_id"]
    grouped = lines.group_by("invoice_id", maintain_order=True).agg(
        pl.col(same).first(),
        pl.col("amount_minor").sum().alias("subtotal_minor"),
        pl.when(owed).then(pl.lit("draft")).otherwise(pl.lit("skipped")).alias("state"),
    )
    return checked(
        grouped.with_columns(total_minor=pl.col("subtotal_minor"), version=pl.lit(FIRST_VERSION, dtype=pl.Int32)),
        DRAFTS,
    )


def record_drafts(connection: Connection, drafts: Drafts) -> None:
    """Copy invoices and lines, in the caller's transaction; an invoice that exists already is an error."""
    copy_rows(connection, invoices, drafts.invoices)
    copy_rows(connection, invoice_lines, drafts.lines.with_columns(tiers=tiers_json(pl.col("tiers"))))
