"""Invoicing's Postgres tables: invoices with lines, the numbers given out, and the outbox."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Identity,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from core.db import metadata

invoices = Table(
    "invoices",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("subscription_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    # As they were when the invoice was written; a later change of the customer or the plan does not reach it.
    Column("subject", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("number", Text, nullable=True),
    Column("state", Text, nullable=False),
    Column("period", Text, nullable=False),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("version", Integer, nullable=False),
    Column("currency", Text, nullable=False),
    Column("subtotal_minor", BigInteger, nullable=False),
    # Subtotal and credit make the total, which is never below zero: credit is negative where earlier credit pays for
    # this invoice, positive where a negative subtotal is carried on to the customer's next ones.
    Column("credit_minor", BigInteger, nullable=False, server_default=text("0")),
    Column("total_minor", BigInteger, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("catalog_version", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("issued_at", DateTime(timezone=True), nullable=True),
    UniqueConstraint("subscription_id", "period_start", "version"),
    UniqueConstraint("merchant_id", "number"),
    CheckConstraint("state in ('draft', 'finalized', 'skipped')", name="state_known"),
    CheckConstraint("(state = 'finalized') = (number is not null)", name="numbered_when_finalized"),
    CheckConstraint("(state = 'finalized') = (issued_at is not null)", name="issued_when_finalized"),
    CheckConstraint("period_start < period_end", name="period_has_length"),
    Index(None, "merchant_id", "period"),
    Index("ix_invoices_draft", "period", "merchant_id", postgresql_where=text("state = 'draft'")),
)

# No foreign key: lines are copied in the transaction that copies their invoices, and neither is ever deleted.
invoice_lines = Table(
    "invoice_lines",
    metadata,
    Column("invoice_id", Text, primary_key=True),
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("merchant_id", Text, nullable=False),
    Column("description", Text, nullable=False),
    Column("price_id", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("aggregation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("quantity", Numeric(38, 12), nullable=False),
    Column("unrounded", Numeric(38, 24), nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("tiers", JSON, nullable=False),
    Column("price", JSON, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("input_hash", Text, nullable=False),
    # An adjustment belongs to an earlier period, and says what had been billed for it and what it comes to.
    Column("kind", Text, nullable=False, server_default=text("'usage'")),
    Column("for_period", Text, nullable=True),
    Column("adjusts", JSONB, nullable=True),
    CheckConstraint("kind in ('usage', 'adjustment')", name="kind_known"),
    CheckConstraint(
        "(kind = 'adjustment') = (for_period is not null and adjusts is not null)", name="adjusts_something"
    ),
)

# A customer's account of credit with a merchant: what one invoice leaves over, and what a later one takes of it. The
# sequence lets two closes at once not take the same credit: the second one fails as a whole.
credit_entries = Table(
    "credit_entries",
    metadata,
    Column("merchant_id", Text, primary_key=True),
    Column("customer_id", Text, primary_key=True),
    Column("currency", Text, primary_key=True),
    Column("sequence", BigInteger, primary_key=True, autoincrement=False),
    Column("invoice_id", Text, nullable=False),
    Column("amount_minor", BigInteger, nullable=False),
    Column("balance_minor", BigInteger, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("invoice_id"),
    CheckConstraint("balance_minor >= 0", name="balance_not_negative"),
    CheckConstraint("amount_minor <> 0", name="moves_something"),
)

# One row a merchant. Its lock puts those who number in line, so that numbers have no gap and no twin.
invoice_sequences = Table(
    "invoice_sequences",
    metadata,
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), primary_key=True),
    Column("prefix", Text, nullable=False),
    Column("next_number", BigInteger, nullable=False),
    CheckConstraint("next_number > 0", name="next_number_positive"),
)

# What happened, written in the transaction in which it happened. The key is derived from what it speaks of, so the
# same thing cannot be told twice.
outbox = Table(
    "outbox",
    metadata,
    Column("event_key", Text, primary_key=True),
    Column("position", BigInteger, Identity(always=True), nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("type", Text, nullable=False),
    Column("payload", JSONB, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("sent_at", DateTime(timezone=True), nullable=True),
    Index("ix_outbox_unsent", "position", postgresql_where=text("sent_at is null")),
)
