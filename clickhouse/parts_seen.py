"""Which parts ``usage_windows`` has, as one look tells.

ClickHouse never changes a part: it replaces it by one of another name, and a name that is gone does not come back while
the server runs. So a part that two looks show alike was there all the time between them, with the same rows.
"""

from __future__ import annotations

from collections.abc import Mapping
from sys import intern
from typing import NamedTuple

from clickhouse.client import UsageStore

_PARTS = """
    SELECT name, hash_of_all_files, rows FROM system.parts
    WHERE active AND database = currentDatabase() AND table = 'usage_windows'
"""
_ENGINE = "SELECT engine FROM system.tables WHERE database = currentDatabase() AND name = 'usage_windows'"
# Of others one server tells its own parts, and another one may answer.
_OF_ONE_SERVER = "MergeTree"


class Part(NamedTuple):
    """What is told of a part beside its name: where tables were restored, the same names may hold other rows."""

    hash: str
    rows: int


Parts = Mapping[str, Part]


def look_at_parts(store: UsageStore) -> Parts:
    """The parts that are there, by their names."""
    return {intern(name): Part(*told) for name, *told in store.query_frame(_PARTS).iter_rows()}


def parts_tell(store: UsageStore) -> bool:
    """Whether the parts that are shown are those that questions are answered from."""
    return store.query_frame(_ENGINE)["engine"].to_list() == [_OF_ONE_SERVER]


def there_still(parts: Parts, later: Parts) -> frozenset[str]:
    """The names of those parts that a later look shows as well."""
    return frozenset(name for name, told in parts.items() if later.get(name) == told)
