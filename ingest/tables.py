"""The Postgres table of backfills: what was opened, for which span, and how far it is."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Column, DateTime, ForeignKey, Index, Table, Text, func, text

from core.db import metadata

backfills = Table(
    "backfills",
    metadata,
    Column("backfill_id", Text, primary_key=True),
    Column("merchant_id", Text, ForeignKey("merchants.merchant_id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("note", Text, nullable=False),
    Column("opened_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    # When its close or revert was asked for, and when all of its events had moved.
    Column("decided_at", DateTime(timezone=True), nullable=True),
    Column("ended_at", DateTime(timezone=True), nullable=True),
    CheckConstraint("state in ('open', 'closing', 'closed', 'reverting', 'reverted')", name="state_known"),
    CheckConstraint("starts_at < ends_at", name="half_open"),
    CheckConstraint("(state = 'open') = (decided_at is null)", name="decided_when"),
    CheckConstraint("(state in ('closed', 'reverted')) = (ended_at is not null)", name="ended_when"),
    Index("ix_backfills_merchant_id", "merchant_id", "opened_at"),
    # Those on the move are looked for every minute; nearly all rows are at rest.
    Index("ix_backfills_moving", "state", postgresql_where=text("state in ('closing', 'reverting')")),
)
