"""Where rating puts the periods whose usage it asks for: one question joins all of them at once."""

BLOCKING = False

FORWARD = [
    """
    CREATE TABLE IF NOT EXISTS usage_scopes
    (
        question String,
        row UInt32,
        merchant_id LowCardinality(String),
        customer_id String,
        meter_id LowCardinality(String),
        aggregation LowCardinality(String),
        period_start DateTime('UTC'),
        period_end DateTime('UTC'),
        asked_at DateTime('UTC') DEFAULT now('UTC')
    )
    ENGINE = MergeTree
    ORDER BY (question, merchant_id, customer_id, meter_id)
    TTL asked_at + INTERVAL 1 DAY
    SETTINGS non_replicated_deduplication_window = 10000
    """,
]

BACKWARD = ["DROP TABLE IF EXISTS usage_scopes SYNC"]
