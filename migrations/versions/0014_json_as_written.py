"""Explanations of lines and prices are kept as they were written: nothing asks Postgres what is in them."""

from __future__ import annotations

from alembic import op

revision = "0014_json_as_written"
down_revision = "0013_expressions"
branch_labels = None
depends_on = None

TABLES = ("charge_lines", "charge_adjustments", "invoice_lines")


def upgrade() -> None:
    """To take a text apart and put it together otherwise took a third of what a charge line costs to copy."""
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN tiers TYPE json, ALTER COLUMN price TYPE json")


def downgrade() -> None:
    """As they were."""
    for table in TABLES:
        op.execute(f"ALTER TABLE {table} ALTER COLUMN tiers TYPE jsonb, ALTER COLUMN price TYPE jsonb")
