"""Backfills: events that wait together until their backfill is closed or reverted."""

from __future__ import annotations

from alembic import op

revision = "0007_backfills"
down_revision = "0006_corrections"
branch_labels = None
depends_on = None

BACKFILLS = """
CREATE TABLE backfills (
    backfill_id text NOT NULL,
    merchant_id text NOT NULL,
    state text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    note text NOT NULL,
    opened_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT pk_backfills PRIMARY KEY (backfill_id),
    CONSTRAINT fk_backfills_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT ck_backfills_state_known CHECK (state in ('open', 'closing', 'closed', 'reverting', 'reverted')),
    CONSTRAINT ck_backfills_half_open CHECK (starts_at < ends_at),
    CONSTRAINT ck_backfills_decided_when CHECK ((state = 'open') = (decided_at is null)),
    CONSTRAINT ck_backfills_ended_when CHECK ((state in ('closed', 'reverted')) = (ended_at is not null))
);
CREATE INDEX ix_backfills_merchant_id ON backfills (merchant_id, opened_at);
CREATE INDEX ix_backfills_moving ON backfills (state) WHERE state in ('closing', 'reverting');
"""


def upgrade() -> None:
    """Create the table."""
    op.execute(BACKFILLS)


def downgrade() -> None:
    """Drop it; the events stay, held, with the backfill's id."""
    op.execute("DROP TABLE backfills")
