"""Late usage in money: merchants' settings, adjustments of periods already billed, and credit that is carried on."""

from __future__ import annotations

from alembic import op

revision = "0008_late_usage"
down_revision = "0007_backfills"
branch_labels = None
depends_on = None

SETTINGS = """
CREATE TABLE merchant_settings (
    merchant_id text NOT NULL,
    from_version bigint NOT NULL,
    until_version bigint,
    late_grace_s bigint NOT NULL,
    late_policy text NOT NULL,
    late_months_back integer NOT NULL,
    CONSTRAINT pk_merchant_settings PRIMARY KEY (merchant_id, from_version),
    CONSTRAINT fk_merchant_settings_merchant_id_merchants
        FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT ck_merchant_settings_not_negative CHECK (late_grace_s >= 0 and late_months_back >= 0),
    CONSTRAINT ck_merchant_settings_late_policy_known CHECK (late_policy in ('next_invoice', 'report_only'))
);
CREATE UNIQUE INDEX uq_merchant_settings_live ON merchant_settings (merchant_id) WHERE until_version is null;
"""

RUNS = """
ALTER TABLE rating_runs ADD COLUMN usage_from timestamptz;
ALTER TABLE rating_runs ADD COLUMN usage_until timestamptz;
UPDATE rating_runs SET usage_from = lines.first_start, usage_until = lines.last_end FROM (
    SELECT run_id, min(period_start) AS first_start, max(period_end) AS last_end FROM charge_lines GROUP BY run_id
) AS lines WHERE lines.run_id = rating_runs.run_id;
"""

ADJUSTMENTS = """
CREATE TABLE charge_adjustments (
    for_period text NOT NULL,
    subscription_id text NOT NULL,
    price_id text NOT NULL,
    sequence integer NOT NULL,
    period text NOT NULL,
    run_id text NOT NULL,
    merchant_id text NOT NULL,
    customer_id text NOT NULL,
    subject text NOT NULL,
    plan text NOT NULL,
    meter_id text NOT NULL,
    meter text NOT NULL,
    aggregation text NOT NULL,
    model text NOT NULL,
    currency text NOT NULL,
    for_start timestamptz NOT NULL,
    for_end timestamptz NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    billed_cutoff timestamptz NOT NULL,
    cutoff timestamptz NOT NULL,
    catalog_version bigint NOT NULL,
    old_quantity numeric(38, 12) NOT NULL,
    new_quantity numeric(38, 12) NOT NULL,
    quantity numeric(38, 12) NOT NULL,
    old_amount numeric(38, 24) NOT NULL,
    new_amount numeric(38, 24) NOT NULL,
    amount numeric(38, 24) NOT NULL,
    tiers jsonb NOT NULL,
    price jsonb NOT NULL,
    events bigint NOT NULL,
    windows bigint NOT NULL,
    input_hash text NOT NULL,
    corrected_from numeric(38, 12),
    CONSTRAINT pk_charge_adjustments PRIMARY KEY (for_period, subscription_id, price_id, sequence),
    CONSTRAINT ck_charge_adjustments_later CHECK (billed_cutoff < cutoff and for_start < period_start),
    CONSTRAINT ck_charge_adjustments_difference
        CHECK (quantity = new_quantity - old_quantity and amount = new_amount - old_amount)
);
CREATE INDEX ix_charge_adjustments_merchant_id_period ON charge_adjustments (merchant_id, period);
"""

INVOICES = """
ALTER TABLE invoices ADD COLUMN credit_minor bigint NOT NULL DEFAULT 0;
ALTER TABLE invoice_lines ADD COLUMN kind text NOT NULL DEFAULT 'usage';
ALTER TABLE invoice_lines ADD COLUMN for_period text;
ALTER TABLE invoice_lines ADD COLUMN adjusts jsonb;
ALTER TABLE invoice_lines ADD CONSTRAINT ck_invoice_lines_kind_known CHECK (kind in ('usage', 'adjustment'));
ALTER TABLE invoice_lines ADD CONSTRAINT ck_invoice_lines_adjusts_something
    CHECK ((kind = 'adjustment') = (for_period is not null and adjusts is not null));

CREATE TABLE credit_entries (
    merchant_id text NOT NULL,
    customer_id text NOT NULL,
    currency text NOT NULL,
    sequence bigint NOT NULL,
    invoice_id text NOT NULL,
    amount_minor bigint NOT NULL,
    balance_minor bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    CONSTRAINT pk_credit_entries PRIMARY KEY (merchant_id, customer_id, currency, sequence),
    CONSTRAINT uq_credit_entries_invoice_id UNIQUE (invoice_id),
    CONSTRAINT ck_credit_entries_balance_not_negative CHECK (balance_minor >= 0),
    CONSTRAINT ck_credit_entries_moves_something CHECK (amount_minor <> 0)
);
"""


def upgrade() -> None:
    """Add the tables and columns; runs of before learn the span of their periods."""
    op.execute(SETTINGS)
    op.execute(RUNS)
    op.execute(ADJUSTMENTS)
    op.execute(INVOICES)


def downgrade() -> None:
    """Take them away again, with adjustments and credit in them."""
    op.execute("DROP TABLE credit_entries, charge_adjustments, merchant_settings")
    op.execute("ALTER TABLE invoice_lines DROP COLUMN adjusts, DROP COLUMN for_period, DROP COLUMN kind")
    op.execute("ALTER TABLE invoices DROP COLUMN credit_minor")
    op.execute("ALTER TABLE rating_runs DROP COLUMN usage_until, DROP COLUMN usage_from")
