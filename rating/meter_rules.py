"""How meters counted in each block: their rules as of the catalog version that the block was written with."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace

from sqlalchemy import Connection, select, text

from catalog.meter import as_filters
from catalog.tables import meters
from clickhouse.recompute import BlockSpan, Rule

VERSIONS = text("SELECT min(catalog_version), max(catalog_version) FROM stream_blocks WHERE state = 'sealed'")
# Within a partition blocks and catalog versions go up together.
FIRST_BLOCKS = text("""
    SELECT incarnation, partition, min(first_offset) FROM stream_blocks
    WHERE state = 'sealed' AND catalog_version >= :version GROUP BY incarnation, partition
""")

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Held:
    """A rule and the catalog versions for which it held: from ``first`` on, and before ``until`` if that is known."""

    rule: Rule
    first: int
    until: int | None


def load_rules(connection: Connection, meter_ids: Collection[str], version: int) -> dict[str, tuple[Rule, ...]]:
    """The rules of each meter as of a catalog version, each with the blocks that it held for.

    A meter that counted in the same way in every block has one rule for all blocks.
    """
    oldest, newest = connection.execute(VERSIONS).one()
    found = load_held(connection, meter_ids, version)
    if oldest is None:
        return {meter_id: (held[-1].rule,) for meter_id, held in found.items()}
    bounds: dict[int, dict[Place, int]] = {}

    def first_blocks(since: int) -> dict[Place, int]:
        if since not in bounds:
            rows = connection.execute(FIRST_BLOCKS, {"version": since})
            bounds[since] = {(incarnation, partition): first for incarnation, partition, first in rows}
        return bounds[since]

    rules: dict[str, tuple[Rule, ...]] = {}
    for meter_id, held in found.items():
        used = [one for one in held if one.first <= newest and (one.until is None or one.until > oldest)]
        if len(used) == 1 and used[0].first <= oldest and (used[0].until is None or used[0].until > newest):
            rules[meter_id] = (used[0].rule,)
            continue
        rules[meter_id] = tuple(
            replace(one.rule, blocks=spans(first_blocks(one.first), first_blocks(one.until) if one.until else {}))
            for one in used
        )
    return rules


def spans(first: dict[Place, int], until: dict[Place, int]) -> tuple[BlockSpan, ...]:
    """The blocks from some of each partition on, and before others of the same partition."""
    return tuple(
        BlockSpan(incarnation, partition, start, until.get((incarnation, partition)))
        for (incarnation, partition), start in sorted(first.items())
    )


def load_held(connection: Connection, meter_ids: Collection[str], version: int) -> dict[str, list[Held]]:
    """Each meter's rules, oldest first; versions that count alike are one."""
    columns = meters.c
    rows = connection.execute(
        select(columns.meter_id, columns.event_type, columns.value_property, columns.filters)
        .add_columns(columns.from_version, columns.until_version)
        .where(columns.meter_id.in_(meter_ids), columns.from_version <= version)
        .order_by(columns.meter_id, columns.from_version)
    )
    found: dict[str, list[Held]] = defaultdict(list)
    for meter_id, event_type, value_property, filters, first, until in rows:
        rule = Rule(event_type, value_property, as_filters(filters))
        before = found[meter_id]
        if before and before[-1].rule == rule and before[-1].until == first:
            first = before.pop().first  # noqa: PLW2901 - the same rule has held since then
        before.append(Held(rule, first, until))
    return found
