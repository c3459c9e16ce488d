"""Events and windows cost less to insert and to merge: plain names of properties, and merges of many parts at once.

Figures and what else was tried: ``docs/decisions/0015-what-a-row-costs-in-clickhouse.md``.
"""

from __future__ import annotations

from importlib import import_module

# ``properties`` of all stored events is written anew.
BLOCKING = True

# A merge of a few parts is done again at the next size up, and each time every row is read, compared and written.
# With twenty at once a row is merged twice on its way to 400 blocks, and a month has some sixty parts at most.
_PARTS_AT_ONCE = 20
_TABLES = ("usage_events", "usage_windows", "usage_uniques")

# Their columns' types are taken from the table when they are made.
_REMADE = ("usage_counted", "usage_counted_at")
_views = [
    statement
    for statement in import_module("clickhouse.migrations.0005_corrected_views").FORWARD
    if any(f"VIEW {view} AS" in statement for view in _REMADE)
]
assert len(_views) == len(_REMADE), "the views that show properties"

# A dictionary of names for each part's map took a microsecond an event, more than all other columns together.
FORWARD = [
    "ALTER TABLE usage_events MODIFY COLUMN properties Map(String, String)",
    *_views,
    *(f"ALTER TABLE {table} MODIFY SETTING min_parts_to_merge_at_once = {_PARTS_AT_ONCE}" for table in _TABLES),
]

BACKWARD = [
    *(f"ALTER TABLE {table} RESET SETTING min_parts_to_merge_at_once" for table in _TABLES),
    "ALTER TABLE usage_events MODIFY COLUMN properties Map(LowCardinality(String), String)",
    *_views,
]
