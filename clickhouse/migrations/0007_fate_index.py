"""Held events found without reading the fate of all others: those of one unknown type or customer lie together."""

BLOCKING = False

# A few bytes for each granule, made when parts are merged. The releaser asks for held events every minute.
FORWARD = [
    "ALTER TABLE usage_events ADD INDEX IF NOT EXISTS fate_index fate TYPE set(8) GRANULARITY 1",
]

BACKWARD = ["ALTER TABLE usage_events DROP INDEX IF EXISTS fate_index"]
