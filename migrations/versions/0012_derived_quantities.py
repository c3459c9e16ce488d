"""Meters whose billed quantity is worked out from their usage when a period is closed."""

from __future__ import annotations

from alembic import op

revision = "0012_derived_quantities"
down_revision = "0011_averages"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """What a bill takes of a meter; null for the usage as it is."""
    op.execute("ALTER TABLE meters ADD COLUMN billed text")


def downgrade() -> None:
    """Forget it: such meters would be billed by their aggregation."""
    op.execute("ALTER TABLE meters DROP COLUMN billed")
