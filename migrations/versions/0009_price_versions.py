"""Versions of a price by the day from which they are sold, and which of them a subscription has from when on."""

from __future__ import annotations

from alembic import op

revision = "0009_price_versions"
down_revision = "0008_late_usage"
branch_labels = None
depends_on = None

VERSIONS = """
ALTER TABLE prices ADD COLUMN effective_from date NOT NULL DEFAULT '0001-01-01';
DROP INDEX uq_prices_live;
CREATE UNIQUE INDEX uq_prices_live ON prices (plan_id, meter_id, effective_from) WHERE until_version is null;
"""

PINS = """
CREATE TABLE price_pins (
    subscription_id text NOT NULL,
    meter_id text NOT NULL,
    merchant_id text NOT NULL,
    holds_from date NOT NULL,
    from_version bigint NOT NULL,
    until_version bigint,
    effective_from date NOT NULL,
    CONSTRAINT pk_price_pins PRIMARY KEY (subscription_id, meter_id, holds_from, from_version),
    CONSTRAINT fk_price_pins_subscription_id_subscriptions
        FOREIGN KEY (subscription_id) REFERENCES subscriptions (subscription_id),
    CONSTRAINT fk_price_pins_merchant_id_merchants FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE UNIQUE INDEX uq_price_pins_live ON price_pins (subscription_id, meter_id, holds_from)
    WHERE until_version is null;
"""


def upgrade() -> None:
    """Add them; every price of before is the only version of its meter in its plan."""
    op.execute(VERSIONS)
    op.execute(PINS)


def downgrade() -> None:
    """Take them away again; fails where a price has several versions, for one of them would have to be lost."""
    op.execute("DROP TABLE price_pins")
    op.execute("DROP INDEX uq_prices_live")
    op.execute("CREATE UNIQUE INDEX uq_prices_live ON prices (plan_id, meter_id) WHERE until_version is null")
    op.execute("ALTER TABLE prices DROP COLUMN effective_from")
