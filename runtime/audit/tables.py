"""The auditor's Postgres tables: what each audit found, and every repair that was begun."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    Table,
    Text,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.db import metadata

audit_runs = Table(
    "audit_runs",
    metadata,
    Column("run_id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    # Blocks announced from here on were looked at; null for all.
    Column("since", DateTime(timezone=True), nullable=True),
    Column("cutoff", DateTime(timezone=True), nullable=False),
    Column("started_at", DateTime(timezone=True), nullable=False),
    Column("finished_at", DateTime(timezone=True), nullable=False),
    Column("ok", Boolean, nullable=False),
    Column("findings", Integer, nullable=False),
    Column("figures", JSONB, nullable=False),
    Column("notes", JSONB, nullable=False),
    Index("ix_audit_runs_topic", "topic", "started_at"),
)

audit_findings = Table(
    "audit_findings",
    metadata,
    Column("run_id", Text, ForeignKey("audit_runs.run_id", ondelete="CASCADE"), primary_key=True),
    # 1 is the first difference: the one nearest to the log.
    Column("position", Integer, primary_key=True, autoincrement=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    # Empty when it concerns everybody.
    Column("merchant_id", Text, nullable=False),
    Column("place", JSONB, nullable=False),
    Column("events", JSONB, nullable=False),
    Column("repair", Text, nullable=True),
    Index("ix_audit_findings_merchant_id", "merchant_id", "code", postgresql_where=text("merchant_id <> ''")),
)

# A part of the ledger: a repair that inserts rows again needs a token that ClickHouse has never seen, so its number is
# written down before anything is deleted, and never used twice.
audit_repairs = Table(
    "audit_repairs",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("generation", Integer, primary_key=True, autoincrement=False),
    Column("last_offset", BigInteger, nullable=False),
    Column("kind", Text, nullable=False),
    Column("state", Text, nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False),
    Column("ended_at", DateTime(timezone=True), nullable=True),
    CheckConstraint("kind in ('windows', 'block', 'hole', 'leftovers')", name="kind_known"),
    CheckConstraint("state in ('begun', 'done')", name="state_known"),
    CheckConstraint("(state = 'done') = (ended_at is not null)", name="ended_when_done"),
    CheckConstraint("generation > 0", name="generation_positive"),
)
