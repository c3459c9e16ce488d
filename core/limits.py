"""Every bound in one place, with the relations between them asserted."""

from __future__ import annotations

# Numbers. Decimal(38, 12) leaves 26 digits before the point. One event may use 19 of them, so that a window
# would need ten million such events before a 128-bit sum could wrap.
QUANTITY_SCALE = 12
QUANTITY_DIGITS_MAX = 19
AMOUNT_SCALE = 24
DECIMAL_PRECISION = 38

# The door. A request is refused before it costs more memory than this.
BODY_BYTES_MAX = 4 * 1024 * 1024
DECOMPRESSED_BYTES_MAX = 16 * 1024 * 1024
EVENTS_PER_REQUEST_MAX = 10_000
EVENT_ID_BYTES_MAX = 256
SOURCE_BYTES_MAX = 256
TYPE_BYTES_MAX = 256
SUBJECT_BYTES_MAX = 256
PROPERTIES_MAX = 64
PROPERTY_NAME_BYTES_MAX = 128
PROPERTY_VALUE_BYTES_MAX = 4096
DEPTH_MAX = 8
CORRECTION_ID_BYTES_MAX = 256
REASON_BYTES_MAX = 1_000

# What a meter may work out of an event: as long as people can still read it, and ClickHouse can parse it.
EXPRESSION_BYTES_MAX = 500
EXPRESSION_STEPS_MAX = 32
EXPRESSION_DEPTH_MAX = 16

# Time. An event may be as old as the dedupe horizon unless its sender says that it is a backfill.
EVENT_AGE_DAYS_MAX = 35
EVENT_AHEAD_SECONDS_MAX = 300
DEDUPE_HORIZON_DAYS = 35
BACKFILL_YEARS_MAX = 20

# The log.
ENVELOPE_EVENTS_MAX = 10_000
ENVELOPE_BYTES_MAX = 8 * 1024 * 1024
PARTITIONS_DEFAULT = 4
# A fill is one block a partition with all the windows of its meter in the span; longer ones are sent in parts.
FILL_SPAN_HOURS_MAX = 24

# Streams.
BLOCK_EVENTS_MAX = 100_000
DEAD_LETTER_RUN_MAX = 10_000
# No more than this share of a block with so many events or more may be rejected: beyond it something of ours is wrong.
DEAD_LETTER_EVENTS_MIN = 1_000
DEAD_LETTER_PERCENT_MAX = 50

assert DECOMPRESSED_BYTES_MAX >= BODY_BYTES_MAX, "a plain body must fit what a packed one may unfold to"
assert DEDUPE_HORIZON_DAYS >= EVENT_AGE_DAYS_MAX, "a copy may come as late as its event; it must still be known"
assert ENVELOPE_EVENTS_MAX >= EVENTS_PER_REQUEST_MAX, "one request must fit one envelope a partition"
assert QUANTITY_DIGITS_MAX + QUANTITY_SCALE < DECIMAL_PRECISION, "a single value must leave room for sums"
assert 10 ** (2 * DECIMAL_PRECISION) < 2**255, "a product of two Decimal(38, 12) must fit 256 bits with its sign"
assert AMOUNT_SCALE == 2 * QUANTITY_SCALE, "a product of two scale-12 numbers has scale 24"
