"""Rating and invoicing: runs, charge lines, invoices, numbers, outbox."""

from __future__ import annotations

from alembic import op

revision = "0003_rating_invoicing"
down_revision = "0002_streams"
branch_labels = None
depends_on = None

RATING = """
CREATE TABLE rating_runs (
    run_id text NOT NULL,
    merchant_id text NOT NULL,
    period text NOT NULL,
    state text NOT NULL,
    ended_by timestamptz NOT NULL,
    cutoff timestamptz NOT NULL,
    catalog_version bigint NOT NULL,
    claimed_at timestamptz NOT NULL DEFAULT now(),
    recorded_at timestamptz,
    CONSTRAINT pk_rating_runs PRIMARY KEY (run_id),
    CONSTRAINT fk_rating_runs_merchant_id_merchants FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT ck_rating_runs_state_known CHECK (state in ('claimed', 'recorded')),
    CONSTRAINT ck_rating_runs_recorded_when CHECK ((state = 'recorded') = (recorded_at is not null))
);
CREATE INDEX ix_rating_runs_merchant_id_period ON rating_runs (merchant_id, period);
CREATE UNIQUE INDEX uq_rating_runs_open ON rating_runs (merchant_id, period) WHERE state = 'claimed';

CREATE TABLE charge_lines (
    period text NOT NULL,
    subscription_id text NOT NULL,
    price_id text NOT NULL,
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
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    cutoff timestamptz NOT NULL,
    catalog_version bigint NOT NULL,
    quantity numeric(38, 12) NOT NULL,
    amount numeric(38, 24),
    tiers jsonb NOT NULL,
    price jsonb NOT NULL,
    events bigint NOT NULL,
    windows bigint NOT NULL,
    input_hash text NOT NULL,
    parked_reason text,
    CONSTRAINT pk_charge_lines PRIMARY KEY (period, subscription_id, price_id),
    CONSTRAINT ck_charge_lines_period_has_length CHECK (period_start < period_end),
    CONSTRAINT ck_charge_lines_amount_or_reason CHECK ((amount is null) = (parked_reason is not null))
);
CREATE INDEX ix_charge_lines_parked ON charge_lines (merchant_id, period) WHERE parked_reason is not null;
"""

INVOICING = """
CREATE TABLE invoices (
    invoice_id text NOT NULL,
    merchant_id text NOT NULL,
    subscription_id text NOT NULL,
    customer_id text NOT NULL,
    subject text NOT NULL,
    plan text NOT NULL,
    number text,
    state text NOT NULL,
    period text NOT NULL,
    period_start timestamptz NOT NULL,
    period_end timestamptz NOT NULL,
    version integer NOT NULL,
    currency text NOT NULL,
    subtotal_minor bigint NOT NULL,
    total_minor bigint NOT NULL,
    run_id text NOT NULL,
    cutoff timestamptz NOT NULL,
    catalog_version bigint NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    issued_at timestamptz,
    CONSTRAINT pk_invoices PRIMARY KEY (invoice_id),
    CONSTRAINT fk_invoices_merchant_id_merchants FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT uq_invoices_subscription_id_period_start_version UNIQUE (subscription_id, period_start, version),
    CONSTRAINT uq_invoices_merchant_id_number UNIQUE (merchant_id, number),
    CONSTRAINT ck_invoices_state_known CHECK (state in ('draft', 'finalized', 'skipped')),
    CONSTRAINT ck_invoices_numbered_when_finalized CHECK ((state = 'finalized') = (number is not null)),
    CONSTRAINT ck_invoices_issued_when_finalized CHECK ((state = 'finalized') = (issued_at is not null)),
    CONSTRAINT ck_invoices_period_has_length CHECK (period_start < period_end)
);
CREATE INDEX ix_invoices_merchant_id_period ON invoices (merchant_id, period);
CREATE INDEX ix_invoices_draft ON invoices (period, merchant_id) WHERE state = 'draft';

CREATE TABLE invoice_lines (
    invoice_id text NOT NULL,
    position integer NOT NULL,
    merchant_id text NOT NULL,
    description text NOT NULL,
    price_id text NOT NULL,
    meter_id text NOT NULL,
    meter text NOT NULL,
    aggregation text NOT NULL,
    model text NOT NULL,
    quantity numeric(38, 12) NOT NULL,
    unrounded numeric(38, 24) NOT NULL,
    amount_minor bigint NOT NULL,
    tiers jsonb NOT NULL,
    price jsonb NOT NULL,
    events bigint NOT NULL,
    windows bigint NOT NULL,
    input_hash text NOT NULL,
    CONSTRAINT pk_invoice_lines PRIMARY KEY (invoice_id, position)
);

CREATE TABLE invoice_sequences (
    merchant_id text NOT NULL,
    prefix text NOT NULL,
    next_number bigint NOT NULL,
    CONSTRAINT pk_invoice_sequences PRIMARY KEY (merchant_id),
    CONSTRAINT fk_invoice_sequences_merchant_id_merchants FOREIGN KEY (merchant_id) REFERENCES merchants (merchant_id),
    CONSTRAINT ck_invoice_sequences_next_number_positive CHECK (next_number > 0)
);

CREATE TABLE outbox (
    event_key text NOT NULL,
    position bigint NOT NULL GENERATED ALWAYS AS IDENTITY,
    merchant_id text NOT NULL,
    type text NOT NULL,
    payload jsonb NOT NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    sent_at timestamptz,
    CONSTRAINT pk_outbox PRIMARY KEY (event_key)
);
CREATE INDEX ix_outbox_unsent ON outbox (position) WHERE sent_at is null;
"""


def upgrade() -> None:
    """Create the tables of rating and invoicing."""
    op.execute(RATING)
    op.execute(INVOICING)


def downgrade() -> None:
    """Drop them again, with every invoice in them."""
    op.execute("DROP TABLE outbox, invoice_sequences, invoice_lines, invoices, charge_lines, rating_runs")
