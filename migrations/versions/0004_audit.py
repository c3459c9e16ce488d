"""Audits: what they found, and the repairs that were begun."""

from __future__ import annotations

from alembic import op

revision = "0004_audit"
down_revision = "0003_rating_invoicing"
branch_labels = None
depends_on = None

AUDIT = """
CREATE TABLE audit_runs (
    run_id text NOT NULL,
    topic text NOT NULL,
    since timestamptz,
    cutoff timestamptz NOT NULL,
    started_at timestamptz NOT NULL,
    finished_at timestamptz NOT NULL,
    ok boolean NOT NULL,
    findings integer NOT NULL,
    figures jsonb NOT NULL,
    notes jsonb NOT NULL,
    CONSTRAINT pk_audit_runs PRIMARY KEY (run_id)
);
CREATE INDEX ix_audit_runs_topic ON audit_runs (topic, started_at);

CREATE TABLE audit_findings (
    run_id text NOT NULL,
    position integer NOT NULL,
    code text NOT NULL,
    message text NOT NULL,
    merchant_id text NOT NULL,
    place jsonb NOT NULL,
    events jsonb NOT NULL,
    repair text,
    CONSTRAINT pk_audit_findings PRIMARY KEY (run_id, position),
    CONSTRAINT fk_audit_findings_run_id_audit_runs FOREIGN KEY (run_id) REFERENCES audit_runs (run_id)
        ON DELETE CASCADE
);
CREATE INDEX ix_audit_findings_merchant_id ON audit_findings (merchant_id, code) WHERE merchant_id <> '';

CREATE TABLE audit_repairs (
    topic text NOT NULL,
    incarnation integer NOT NULL,
    partition integer NOT NULL,
    first_offset bigint NOT NULL,
    generation integer NOT NULL,
    last_offset bigint NOT NULL,
    kind text NOT NULL,
    state text NOT NULL,
    begun_at timestamptz NOT NULL,
    ended_at timestamptz,
    CONSTRAINT pk_audit_repairs PRIMARY KEY (topic, incarnation, partition, first_offset, generation),
    CONSTRAINT ck_audit_repairs_kind_known CHECK (kind in ('windows', 'block', 'hole', 'leftovers')),
    CONSTRAINT ck_audit_repairs_state_known CHECK (state in ('begun', 'done')),
    CONSTRAINT ck_audit_repairs_ended_when_done CHECK ((state = 'done') = (ended_at is not null)),
    CONSTRAINT ck_audit_repairs_generation_positive CHECK (generation > 0)
);
"""


def upgrade() -> None:
    """Create the auditor's tables."""
    op.execute(AUDIT)


def downgrade() -> None:
    """Drop them again, with every result."""
    op.execute("DROP TABLE audit_repairs, audit_findings, audit_runs")
