"""Corrections: retractions and amendments as rows of their own, and windows that their partition restates."""

BLOCKING = False

# Nearly every row has the defaults, so ClickHouse keeps these columns sparse; the indexes find the few others without
# reading the rest.
FORWARD = [
    """
    ALTER TABLE usage_events
        MODIFY COLUMN fate Enum8('stored' = 1, 'duplicate' = 2, 'conflict' = 3, 'held' = 4, 'rejected' = 5,
            'retraction' = 6),
        ADD COLUMN IF NOT EXISTS action
            Enum8('event' = 0, 'retract' = 1, 'amend' = 2, 'release' = 3, 'backfill' = 4),
        ADD COLUMN IF NOT EXISTS correction_id String,
        ADD INDEX IF NOT EXISTS action_index action TYPE minmax GRANULARITY 1
    """,
    """
    ALTER TABLE usage_windows
        ADD COLUMN IF NOT EXISTS restates UInt8,
        ADD INDEX IF NOT EXISTS restates_index restates TYPE minmax GRANULARITY 1
    """,
]

BACKWARD = [
    "ALTER TABLE usage_windows DROP INDEX IF EXISTS restates_index",
    "ALTER TABLE usage_windows DROP COLUMN IF EXISTS restates",
    "ALTER TABLE usage_events DROP INDEX IF EXISTS action_index",
    "ALTER TABLE usage_events DROP COLUMN IF EXISTS action, DROP COLUMN IF EXISTS correction_id",
]
