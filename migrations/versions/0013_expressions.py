"""Meters that work their value out of several properties of an event."""

from __future__ import annotations

from alembic import op

revision = "0013_expressions"
down_revision = "0012_derived_quantities"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """An expression in place of a property: every meter but a count has one of the two."""
    op.execute("""
        ALTER TABLE meters ADD COLUMN expression text;
        ALTER TABLE meters DROP CONSTRAINT ck_meters_value_present;
        ALTER TABLE meters ADD CONSTRAINT ck_meters_value_present CHECK (
            num_nonnulls(value_property, expression) = (CASE WHEN aggregation = 'count' THEN 0 ELSE 1 END)
        );
        ALTER TABLE meters ADD CONSTRAINT ck_meters_expression_numeric CHECK (
            expression IS NULL OR aggregation <> 'unique'
        );
    """)


def downgrade() -> None:
    """Forbid them; fails where there is one, for nothing else takes what it takes."""
    op.execute("""
        ALTER TABLE meters DROP CONSTRAINT ck_meters_expression_numeric;
        ALTER TABLE meters DROP CONSTRAINT ck_meters_value_present;
        ALTER TABLE meters ADD CONSTRAINT ck_meters_value_present CHECK (
            (aggregation = 'count') = (value_property IS NULL)
        );
        ALTER TABLE meters DROP COLUMN expression;
    """)
