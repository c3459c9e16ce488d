"""Events found by their key alone, which a correction names: the table is sorted by everything else first."""

BLOCKING = False

# A filter of 10 bits a key in each granule lets one in a hundred other granules pass. It is made when parts are merged,
# not when a block is inserted (``client.INSERT_SETTINGS``): there it took 5 ms of 56 for 100,000 events. Parts that
# were not merged since are read whole; ``MATERIALIZE INDEX key_index`` brings old ones up to it.
FORWARD = [
    "ALTER TABLE usage_events ADD INDEX IF NOT EXISTS key_index key TYPE bloom_filter(0.01) GRANULARITY 1",
]

BACKWARD = ["ALTER TABLE usage_events DROP INDEX IF EXISTS key_index"]
