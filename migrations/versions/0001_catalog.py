"""The catalog: merchants, keys, meters, plans, prices, customers, subscriptions."""

from __future__ import annotations

from alembic import op

revision = "0001_catalog"
down_revision = None
branch_labels = None
depends_on = None

VERSION = """
CREATE TABLE catalog_version (
    id smallint NOT NULL,
    version bigint NOT NULL,
    CONSTRAINT pk_catalog_version PRIMARY KEY (id),
    CONSTRAINT ck_catalog_version_single CHECK (id = 1)
);
INSERT INTO catalog_version (id, version) VALUES (1, 0);
"""

MERCHANTS = """
CREATE TABLE merchants (
    merchant_id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_merchants PRIMARY KEY (merchant_id),
    CONSTRAINT uq_merchants_code UNIQUE (code)
);
CREATE TABLE api_keys (
    key_id text NOT NULL,
    merchant_id text NOT NULL,
    prefix text NOT NULL,
    secret_sha256 bytea NOT NULL,
    name text NOT NULL,
    scope text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    revoked_at timestamptz,
    CONSTRAINT pk_api_keys PRIMARY KEY (key_id),
    CONSTRAINT uq_api_keys_secret_sha256 UNIQUE (secret_sha256),
    CONSTRAINT fk_api_keys_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE INDEX ix_api_keys_merchant_id ON api_keys (merchant_id);
"""

METERS = """
CREATE TABLE meters (
    meter_id text NOT NULL,
    meter_version integer NOT NULL,
    merchant_id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    event_type text NOT NULL,
    aggregation text NOT NULL,
    value_property text,
    group_by jsonb NOT NULL,
    filters jsonb NOT NULL,
    from_version bigint NOT NULL,
    until_version bigint,
    CONSTRAINT pk_meters PRIMARY KEY (meter_id, meter_version),
    CONSTRAINT fk_meters_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT ck_meters_aggregation_known
        CHECK (aggregation IN ('count', 'sum', 'min', 'max', 'latest', 'unique')),
    CONSTRAINT ck_meters_value_present CHECK ((aggregation = 'count') = (value_property IS NULL))
);
CREATE UNIQUE INDEX uq_meters_live ON meters (merchant_id, code) WHERE until_version IS NULL;
"""

CUSTOMERS = """
CREATE TABLE customers (
    customer_id text NOT NULL,
    from_version bigint NOT NULL,
    until_version bigint,
    merchant_id text NOT NULL,
    subject text NOT NULL,
    name text NOT NULL,
    zone text NOT NULL,
    currency text NOT NULL,
    CONSTRAINT pk_customers PRIMARY KEY (customer_id, from_version),
    CONSTRAINT fk_customers_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE UNIQUE INDEX uq_customers_live ON customers (merchant_id, subject) WHERE until_version IS NULL;
"""

PLANS = """
CREATE TABLE plans (
    plan_id text NOT NULL,
    merchant_id text NOT NULL,
    code text NOT NULL,
    name text NOT NULL,
    currency text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_plans PRIMARY KEY (plan_id),
    CONSTRAINT uq_plans_merchant_id_code UNIQUE (merchant_id, code),
    CONSTRAINT fk_plans_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE TABLE prices (
    price_id text NOT NULL,
    plan_id text NOT NULL,
    merchant_id text NOT NULL,
    meter_id text NOT NULL,
    model text NOT NULL,
    definition jsonb NOT NULL,
    currency text NOT NULL,
    from_version bigint NOT NULL,
    until_version bigint,
    CONSTRAINT pk_prices PRIMARY KEY (price_id),
    CONSTRAINT fk_prices_plan_id FOREIGN KEY (plan_id) REFERENCES plans (plan_id),
    CONSTRAINT fk_prices_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id)
);
CREATE INDEX ix_prices_merchant_id ON prices (merchant_id);
CREATE UNIQUE INDEX uq_prices_live ON prices (plan_id, meter_id) WHERE until_version IS NULL;
"""

SUBSCRIPTIONS = """
CREATE TABLE subscriptions (
    subscription_id text NOT NULL,
    merchant_id text NOT NULL,
    customer_id text NOT NULL,
    plan_id text NOT NULL,
    starts_at timestamptz NOT NULL,
    ends_at timestamptz,
    anchor_day smallint NOT NULL,
    "interval" text NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    from_version bigint NOT NULL,
    ended_version bigint,
    CONSTRAINT pk_subscriptions PRIMARY KEY (subscription_id),
    CONSTRAINT fk_subscriptions_merchant_id FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT fk_subscriptions_plan_id FOREIGN KEY (plan_id) REFERENCES plans (plan_id),
    CONSTRAINT ck_subscriptions_has_length CHECK (ends_at > starts_at),
    CONSTRAINT ck_subscriptions_anchor_day_of_month CHECK (anchor_day BETWEEN 1 AND 31),
    CONSTRAINT ck_subscriptions_interval_known CHECK ("interval" = 'month'),
    CONSTRAINT ck_subscriptions_end_versioned CHECK ((ends_at IS NULL) = (ended_version IS NULL))
);
CREATE INDEX ix_subscriptions_merchant_id_customer_id ON subscriptions (merchant_id, customer_id);
CREATE INDEX ix_subscriptions_plan_id ON subscriptions (plan_id);
"""

# A table after those that it refers to.
CREATED = (VERSION, MERCHANTS, METERS, CUSTOMERS, PLANS, SUBSCRIPTIONS)
TABLES = ("subscriptions", "prices", "plans", "customers", "meters", "api_keys", "merchants", "catalog_version")


def upgrade() -> None:
    """Create the tables, and version 0 of an empty catalog."""
    for statements in CREATED:
        op.execute(statements)


def downgrade() -> None:
    """Drop the tables with all they hold."""
    for table in TABLES:
        op.execute(f"DROP TABLE {table}")
