"""Merges cost less: they take no statistics of columns, and leave what has been merged alone for longer.

Figures: ``docs/decisions/0015-what-a-row-costs-in-clickhouse.md``.
"""

BLOCKING = False

_TABLES = ("usage_events", "usage_windows", "usage_uniques")

# No question here is planned by statistics, and taking them was two fifths of a merge.
# The engine counts each part as 5 MB more than it is, so that nineteen blocks of windows outweighed all that was
# merged before them, and the same rows were merged anew four times on their way to 30 MB.
_SETTINGS = {"auto_statistics_types": "''", "merge_selector_base": "12"}

FORWARD = [
    f"ALTER TABLE {table} MODIFY SETTING " + ", ".join(f"{name} = {value}" for name, value in _SETTINGS.items())
    for table in _TABLES
]

BACKWARD = [f"ALTER TABLE {table} RESET SETTING " + ", ".join(_SETTINGS) for table in _TABLES]
