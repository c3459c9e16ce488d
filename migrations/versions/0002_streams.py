"""The block ledger: incarnations of the topic, partitions with their owners, blocks, dead letters."""

from __future__ import annotations

from alembic import op

revision = "0002_streams"
down_revision = "0001_catalog"
branch_labels = None
depends_on = None

LEDGER = """
CREATE TABLE stream_incarnations (
    topic text NOT NULL,
    incarnation integer NOT NULL,
    topic_id text NOT NULL,
    partitions integer NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_stream_incarnations PRIMARY KEY (topic, incarnation),
    CONSTRAINT uq_stream_incarnations_topic_topic_id UNIQUE (topic, topic_id),
    CONSTRAINT ck_stream_incarnations_partitions_positive CHECK (partitions > 0)
);
CREATE TABLE stream_partitions (
    topic text NOT NULL,
    partition integer NOT NULL,
    incarnation integer NOT NULL,
    owner text NOT NULL,
    epoch bigint NOT NULL,
    next_offset bigint NOT NULL,
    sealed_sequences jsonb NOT NULL,
    unreadable_run integer NOT NULL DEFAULT 0,
    watermark timestamptz,
    updated_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_stream_partitions PRIMARY KEY (topic, partition)
);
CREATE TABLE stream_blocks (
    topic text NOT NULL,
    incarnation integer NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    last_offset bigint NOT NULL,
    catalog_version bigint NOT NULL,
    epoch bigint NOT NULL,
    state text NOT NULL,
    intended_at timestamptz NOT NULL,
    sealed_at timestamptz,
    received bigint,
    stored bigint,
    duplicates bigint,
    conflicts bigint,
    held bigint,
    rejected bigint,
    redelivered bigint,
    digest text,
    watermark timestamptz,
    CONSTRAINT pk_stream_blocks PRIMARY KEY (topic, incarnation, partition, first_offset),
    CONSTRAINT ck_stream_blocks_state_known CHECK (state in ('intent', 'sealed', 'abandoned')),
    CONSTRAINT ck_stream_blocks_offsets_in_order CHECK (first_offset <= last_offset),
    CONSTRAINT ck_stream_blocks_conserved
        CHECK (state <> 'sealed' or received = stored + duplicates + conflicts + held + rejected)
);
CREATE UNIQUE INDEX uq_stream_blocks_open ON stream_blocks (topic, partition) WHERE state = 'intent';
CREATE INDEX ix_stream_blocks_intended_at ON stream_blocks (intended_at);
"""

DEAD_LETTERS = """
CREATE TABLE dead_letters (
    dead_letter_id text NOT NULL,
    topic text NOT NULL,
    incarnation integer NOT NULL,
    partition integer NOT NULL,
    kafka_offset bigint NOT NULL,
    position integer NOT NULL,
    merchant_id text NOT NULL,
    event_id text NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    payload jsonb,
    raw bytea,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_dead_letters PRIMARY KEY (dead_letter_id),
    CONSTRAINT uq_dead_letters_place UNIQUE (topic, incarnation, partition, kafka_offset, position)
);
CREATE INDEX ix_dead_letters_merchant_id ON dead_letters (merchant_id, created_at);
"""


def upgrade() -> None:
    """Create the ledger's tables."""
    op.execute(LEDGER)
    op.execute(DEAD_LETTERS)


def downgrade() -> None:
    """Drop them again; what was sealed stays in ClickHouse, but nobody could tell which blocks it came from."""
    op.execute("DROP TABLE dead_letters, stream_blocks, stream_partitions, stream_incarnations")
