"""Corrections in the block ledger: retractions among a block's counts, and the fills of meters."""

from __future__ import annotations

from alembic import op

revision = "0006_corrections"
down_revision = "0005_exact_close"
branch_labels = None
depends_on = None

RETRACTIONS = """
ALTER TABLE stream_blocks ADD COLUMN retractions bigint;
UPDATE stream_blocks SET retractions = 0 WHERE state = 'sealed';
ALTER TABLE stream_blocks DROP CONSTRAINT ck_stream_blocks_conserved;
ALTER TABLE stream_blocks ADD CONSTRAINT ck_stream_blocks_conserved CHECK (
    state <> 'sealed' or received = stored + duplicates + conflicts + held + rejected + retractions
);
"""

FILLS = """
CREATE TABLE stream_fills (
    topic text NOT NULL,
    incarnation integer NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    fill_id text NOT NULL,
    merchant_id text NOT NULL,
    meter_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz NOT NULL,
    catalog_version bigint NOT NULL,
    filled_at timestamptz NOT NULL,
    CONSTRAINT pk_stream_fills PRIMARY KEY (topic, incarnation, partition, first_offset),
    CONSTRAINT ck_stream_fills_half_open CHECK (starts_at < ends_at)
);
CREATE INDEX ix_stream_fills_meter_id ON stream_fills (meter_id, partition);
"""


def upgrade() -> None:
    """Add the column and the table."""
    op.execute(RETRACTIONS)
    op.execute(FILLS)


def downgrade() -> None:
    """Take them away again; refused by the constraint while there are blocks with retractions."""
    op.execute("DROP TABLE stream_fills")
    op.execute("ALTER TABLE stream_blocks DROP CONSTRAINT ck_stream_blocks_conserved")
    op.execute("ALTER TABLE stream_blocks DROP COLUMN retractions")
    op.execute(
        "ALTER TABLE stream_blocks ADD CONSTRAINT ck_stream_blocks_conserved CHECK (state <> 'sealed' "
        "or received = stored + duplicates + conflicts + held + rejected)"
    )
