"""Rating's Postgres tables: runs that freeze inputs, and the charge lines they gave."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Numeric,
    Table,
    Text,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSON, JSONB

from core.db import metadata

# One merchant's part of a close. What froze its inputs is written before anything is rated, so that a close which
# was cut short is finished with the same inputs.
rating_runs = Table(
    "rating_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("period", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("ended_by", DateTime(timezone=True), nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("catalog_version", BigInteger, nullable=False),
    # What was known to be missing when somebody closed all the same; null when nothing was.
    Column("incomplete", JSONB, nullable=True),
    Column("claimed_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("recorded_at", DateTime(timezone=True), nullable=True),
    # From when until when the periods of its lines reach, so that late usage is looked for there alone; null without
    # lines.
    Column("usage_from", DateTime(timezone=True), nullable=True),
    Column("usage_until", DateTime(timezone=True), nullable=True),
    CheckConstraint("state in ('claimed', 'recorded')", name="state_known"),
    CheckConstraint("(state = 'recorded') = (recorded_at is not null)", name="recorded_when"),
    Index(None, "merchant_id", "period"),
    Index("uq_rating_runs_open", "merchant_id", "period", unique=True, postgresql_where=text("state = 'claimed'")),
)

# The key is the guarantee behind "billed once": whatever else fails, a second line for the same period cannot be
# written. A parked line gives way to the line of the next run. There is no foreign key to the run: the lines of a
# million subscriptions are copied in the transaction that ends it, and a check per row would take longer than the copy.
charge_lines = Table(
    "charge_lines",
    metadata,
    Column("period", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("run_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("aggregation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("catalog_version", BigInteger, nullable=False),
    Column("quantity", Numeric(38, 12), nullable=False),
    # Unrounded; null when the line is parked.
    Column("amount", Numeric(38, 24), nullable=True),
    Column("tiers", JSON, nullable=False),
    # Which of the run's prices.
    Column("price_number", Integer, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("input_hash", Text, nullable=False),
    # What the windows said, where copies were found and the quantity was counted from the events; null otherwise.
    Column("corrected_from", Numeric(38, 12), nullable=True),
    Column("parked_reason", Text, nullable=True),
    CheckConstraint("period_start < period_end", name="period_has_length"),
    CheckConstraint("(amount is null) = (parked_reason is not null)", name="amount_or_reason"),
    Index("ix_charge_lines_parked", "merchant_id", "period", postgresql_where=text("parked_reason is not null")),
)

# The prices by which the lines of a run were charged. Thousands of lines share one, so that each text is written once a
# run, in the transaction that writes the lines; ``price_number`` is the place of the first line with it.
charge_prices = Table(
    "charge_prices",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("price_number", Integer, primary_key=True, autoincrement=False),
    Column("merchant_id", Text, nullable=False),
    Column("price", JSON, nullable=False),
)

# What a period that was billed came to later, as differences: each row says what had been billed until then, what the
# whole period comes to now, and what is billed for it. The sequence is the guarantee behind "posted once": two closes
# that find the same difference write the same number, and the second one fails as a whole.
charge_adjustments = Table(
    "charge_adjustments",
    metadata,
    Column("for_period", Text, primary_key=True),
    Column("subscription_id", Text, primary_key=True),
    Column("price_id", Text, primary_key=True),
    Column("sequence", Integer, primary_key=True, autoincrement=False),
    # The period whose close posted it, and on whose invoice it stands.
    Column("period", Text, nullable=False),
    Column("run_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("customer_id", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("plan", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("meter", Text, nullable=False),
    Column("aggregation", Text, nullable=False),
    Column("model", Text, nullable=False),
    Column("currency", Text, nullable=False),
    Column("for_start", DateTime(timezone=True), nullable=False),
    Column("for_end", DateTime(timezone=True), nullable=False),
    Column("period_start", DateTime(timezone=True), nullable=False),
    Column("period_end", DateTime(timezone=True), nullable=False),
    # What had been billed counted usage stored until the one, what is billed now until the other.
    Column("billed_cutoff", DateTime(timezone=True), nullable=False),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    # Of the run that billed the period first: its prices are those that count.
    Column("catalog_version", BigInteger, nullable=False),
    Column("old_quantity", Numeric(38, 12), nullable=False),
    Column("new_quantity", Numeric(38, 12), nullable=False),
    Column("quantity", Numeric(38, 12), nullable=False),
    # Unrounded, like those of charge lines.
    Column("old_amount", Numeric(38, 24), nullable=False),
    Column("new_amount", Numeric(38, 24), nullable=False),
    Column("amount", Numeric(38, 24), nullable=False),
    Column("tiers", JSON, nullable=False),
    Column("price", JSON, nullable=False),
    Column("events", BigInteger, nullable=False),
    Column("windows", BigInteger, nullable=False),
    Column("input_hash", Text, nullable=False),
    Column("corrected_from", Numeric(38, 12), nullable=True),
    CheckConstraint("billed_cutoff < cutoff and for_start < period_start", name="later"),
    CheckConstraint("quantity = new_quantity - old_quantity and amount = new_amount - old_amount", name="difference"),
    Index(None, "merchant_id", "period"),
)
