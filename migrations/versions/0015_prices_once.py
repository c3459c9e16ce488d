"""The prices that the lines of a run were charged by lie in a table of their own, each text once a run."""

from __future__ import annotations

from alembic import op

revision = "0015_prices_once"
down_revision = "0014_json_as_written"
branch_labels = None
depends_on = None

PRICES = """
CREATE TABLE charge_prices (
    run_id text NOT NULL,
    price_number integer NOT NULL,
    merchant_id text NOT NULL,
    price json NOT NULL,
    CONSTRAINT pk_charge_prices PRIMARY KEY (run_id, price_number)
);
INSERT INTO charge_prices
    SELECT run_id, row_number() OVER (PARTITION BY run_id ORDER BY price), merchant_id, price::json
    FROM (SELECT DISTINCT run_id, merchant_id, price::text AS price FROM charge_lines) AS told;
"""
# Found by a digest, because a text may be too long for an index.
FORWARD = """
CREATE TEMPORARY TABLE price_texts ON COMMIT DROP AS
    SELECT run_id, price_number, price::text AS price, md5(price::text) AS digest FROM charge_prices;
CREATE INDEX ix_price_texts ON price_texts (run_id, digest);
ANALYZE price_texts;
CREATE FUNCTION pg_temp.number_of(run text, said text) RETURNS integer LANGUAGE sql STABLE AS
    'SELECT price_number FROM price_texts WHERE run_id = run AND digest = md5(said) AND price = said';
"""
BACKWARD = """
CREATE FUNCTION pg_temp.price_of(run text, number integer) RETURNS json LANGUAGE sql STABLE AS
    'SELECT price FROM charge_prices WHERE run_id = run AND price_number = number';
"""


def upgrade() -> None:
    """A price was a sixth of a line's bytes, and looked through once a line."""
    op.execute(PRICES)
    op.execute(FORWARD)
    # The type changes where the column stands, so that the table is written once and keeps no room for what was there.
    op.execute("ALTER TABLE charge_lines ALTER COLUMN price TYPE integer USING pg_temp.number_of(run_id, price::text)")
    op.execute("ALTER TABLE charge_lines RENAME COLUMN price TO price_number")
    op.execute("DROP FUNCTION pg_temp.number_of")


def downgrade() -> None:
    """Each line has its price again."""
    op.execute(BACKWARD)
    op.execute(
        "ALTER TABLE charge_lines ALTER COLUMN price_number TYPE json USING pg_temp.price_of(run_id, price_number)"
    )
    op.execute("ALTER TABLE charge_lines RENAME COLUMN price_number TO price")
    op.execute("DROP FUNCTION pg_temp.price_of")
    op.execute("DROP TABLE charge_prices")
