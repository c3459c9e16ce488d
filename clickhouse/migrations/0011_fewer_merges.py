"""Small parts are not merged into large ones again and again.

Figures: ``docs/decisions/0015-what-a-row-costs-in-clickhouse.md``.
"""

BLOCKING = False

_TABLES = ("usage_events", "usage_windows", "usage_uniques")

# The engine lowers the ratio that it asks of a merge by how many parts there are: from 12 to 7 at the thirty that
# usually lie there. Twenty small blocks then were reason enough to write all that was merged before them anew.
FORWARD = [f"ALTER TABLE {table} MODIFY SETTING merge_selector_base = 24" for table in _TABLES]
BACKWARD = [f"ALTER TABLE {table} MODIFY SETTING merge_selector_base = 12" for table in _TABLES]
