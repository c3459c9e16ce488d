"""What a close corrected, what it was closed in spite of, and what became of dead letters."""

from __future__ import annotations

from alembic import op

revision = "0005_exact_close"
down_revision = "0004_audit"
branch_labels = None
depends_on = None

CLOSE = """
ALTER TABLE rating_runs ADD COLUMN incomplete jsonb;
ALTER TABLE charge_lines ADD COLUMN corrected_from numeric(38, 12);
"""

DEAD_LETTERS = """
CREATE TABLE dead_letter_decisions (
    dead_letter_id text NOT NULL,
    state text NOT NULL,
    changes jsonb NOT NULL,
    reason text NOT NULL,
    begun_at timestamptz NOT NULL DEFAULT now(),
    decided_at timestamptz,
    CONSTRAINT pk_dead_letter_decisions PRIMARY KEY (dead_letter_id),
    CONSTRAINT fk_dead_letter_decisions_dead_letter_id_dead_letters
        FOREIGN KEY (dead_letter_id) REFERENCES dead_letters (dead_letter_id),
    CONSTRAINT ck_dead_letter_decisions_state_known CHECK (state in ('sending', 'requeued', 'discarded')),
    CONSTRAINT ck_dead_letter_decisions_decided_when CHECK ((state = 'sending') = (decided_at is null)),
    CONSTRAINT ck_dead_letter_decisions_discarded_why CHECK (state <> 'discarded' or reason <> '')
);
"""


def upgrade() -> None:
    """Add the columns and the table."""
    op.execute(CLOSE)
    op.execute(DEAD_LETTERS)


def downgrade() -> None:
    """Take them away again, with the decisions in them."""
    op.execute("DROP TABLE dead_letter_decisions")
    op.execute("ALTER TABLE charge_lines DROP COLUMN corrected_from")
    op.execute("ALTER TABLE rating_runs DROP COLUMN incomplete")
