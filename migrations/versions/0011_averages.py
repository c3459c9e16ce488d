"""Meters that take an average."""

from __future__ import annotations

from alembic import op

revision = "0011_averages"
down_revision = "0010_price_overrides"
branch_labels = None
depends_on = None

KNOWN = """
ALTER TABLE meters DROP CONSTRAINT ck_meters_aggregation_known;
ALTER TABLE meters ADD CONSTRAINT ck_meters_aggregation_known CHECK (aggregation IN ({}));
"""
BEFORE = "'count', 'sum', 'min', 'max', 'latest', 'unique'"


def upgrade() -> None:
    """Allow them."""
    op.execute(KNOWN.format(f"{BEFORE}, 'avg'"))


def downgrade() -> None:
    """Forbid them again; fails where there is one, for nothing else counts as it does."""
    op.execute(KNOWN.format(BEFORE))
