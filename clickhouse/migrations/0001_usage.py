"""The tables in which usage rests: events as evidence, windows and distinct values as deltas, customers mirrored."""

BLOCKING = False

# Insert tokens are remembered for this many blocks; without the setting a repeated block would double its rows.
# A block arrives as one compact file rather than one file a column, which a merge makes of it later: inserts of
# 100,000 events took a quarter less time.
_SETTINGS = "SETTINGS non_replicated_deduplication_window = 10000, min_bytes_for_wide_part = 134217728"

FORWARD = [
    f"""
    CREATE TABLE IF NOT EXISTS usage_events
    (
        merchant_id LowCardinality(String),
        event_id String,
        source LowCardinality(String),
        type LowCardinality(String),
        subject String,
        customer_id String,
        occurred_at DateTime64(6, 'UTC'),
        received_at DateTime64(6, 'UTC'),
        stored_at DateTime64(6, 'UTC'),
        properties Map(LowCardinality(String), String),
        fate Enum8('stored' = 1, 'duplicate' = 2, 'conflict' = 3, 'held' = 4, 'rejected' = 5),
        reason LowCardinality(String),
        key FixedString(16),
        body_hash UInt64,
        incarnation UInt32,
        partition UInt16,
        block_first UInt64,
        kafka_offset UInt64,
        position UInt32
    )
    ENGINE = MergeTree
    PARTITION BY toYYYYMM(occurred_at)
    ORDER BY (merchant_id, subject, type, occurred_at, key)
    {_SETTINGS}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS usage_windows
    (
        merchant_id LowCardinality(String),
        customer_id String,
        subject String,
        meter_id LowCardinality(String),
        meter LowCardinality(String),
        aggregation LowCardinality(String),
        window_start DateTime('UTC'),
        group_key LowCardinality(String),
        stored_at DateTime64(6, 'UTC'),
        incarnation UInt32,
        partition UInt16,
        block_first UInt64,
        events UInt64,
        sum Decimal(38, 12),
        min Decimal(38, 12),
        max Decimal(38, 12),
        last_at DateTime64(6, 'UTC'),
        last_key FixedString(16),
        last Decimal(38, 12)
    )
    ENGINE = MergeTree
    PARTITION BY toYYYYMM(window_start)
    ORDER BY (merchant_id, customer_id, meter_id, window_start, group_key)
    {_SETTINGS}
    """,
    f"""
    CREATE TABLE IF NOT EXISTS usage_uniques
    (
        merchant_id LowCardinality(String),
        customer_id String,
        subject String,
        meter_id LowCardinality(String),
        meter LowCardinality(String),
        window_start DateTime('UTC'),
        group_key LowCardinality(String),
        value String,
        stored_at DateTime64(6, 'UTC'),
        incarnation UInt32,
        partition UInt16,
        block_first UInt64
    )
    ENGINE = MergeTree
    PARTITION BY toYYYYMM(window_start)
    ORDER BY (merchant_id, customer_id, meter_id, window_start, group_key, value)
    {_SETTINGS}
    """,
    """
    CREATE TABLE IF NOT EXISTS customers
    (
        merchant_id LowCardinality(String),
        customer_id String,
        subject String,
        name String,
        zone LowCardinality(String),
        currency LowCardinality(String),
        version UInt64
    )
    ENGINE = ReplacingMergeTree(version)
    ORDER BY (merchant_id, customer_id)
    """,
]

BACKWARD = [
    "DROP TABLE IF EXISTS customers SYNC",
    "DROP TABLE IF EXISTS usage_uniques SYNC",
    "DROP TABLE IF EXISTS usage_windows SYNC",
    "DROP TABLE IF EXISTS usage_events SYNC",
]
