"""Prices of single subscriptions."""

from __future__ import annotations

from alembic import op

revision = "0010_price_overrides"
down_revision = "0009_price_versions"
branch_labels = None
depends_on = None

OVERRIDES = """
CREATE TABLE price_overrides (
    price_id text NOT NULL,
    subscription_id text NOT NULL,
    merchant_id text NOT NULL,
    meter_id text NOT NULL,
    model text NOT NULL,
    definition jsonb NOT NULL,
    currency text NOT NULL,
    holds_from date NOT NULL,
    holds_until date,
    from_version bigint NOT NULL,
    until_version bigint,
    CONSTRAINT pk_price_overrides PRIMARY KEY (price_id),
    CONSTRAINT fk_price_overrides_subscription_id_subscriptions
        FOREIGN KEY (subscription_id) REFERENCES subscriptions (subscription_id),
    CONSTRAINT fk_price_overrides_merchant_id_merchants FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE INDEX ix_price_overrides_merchant_id ON price_overrides (merchant_id);
CREATE UNIQUE INDEX uq_price_overrides_live ON price_overrides (subscription_id, meter_id, holds_from)
    WHERE until_version is null;
"""


def upgrade() -> None:
    """Add the table."""
    op.execute(OVERRIDES)


def downgrade() -> None:
    """Take it away again, with the prices in it."""
    op.execute("DROP TABLE price_overrides")
