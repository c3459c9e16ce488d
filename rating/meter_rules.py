"""How meters counted each event: by their rules as of the catalog version of its block, or of a fill since then."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import dataclass, replace
from datetime import datetime

from sqlalchemy import Connection, select, text

from catalog.meter import as_filters
from catalog.tables import meters
from clickhouse.recompute import BlockSpan, Filled, Needs, Rule

VERSIONS = text("SELECT min(catalog_version), max(catalog_version) FROM stream_blocks WHERE state = 'sealed'")
# Within a partition blocks and catalog versions go up together.
FIRST_BLOCKS = text("""
    SELECT incarnation, partition, min(first_offset) FROM stream_blocks
    WHERE state = 'sealed' AND catalog_version >= :version GROUP BY incarnation, partition
""")

# The youngest first.
FILLS = text("""
    SELECT meter_id, partition, starts_at, ends_at, filled_at, catalog_version FROM stream_fills
    WHERE meter_id = ANY(:meter_ids) AND filled_at <= :cutoff
    ORDER BY filled_at DESC, incarnation DESC, partition, first_offset DESC
""")

Place = tuple[int, int]


@dataclass(frozen=True, slots=True)
class Held:
    """A rule and the catalog versions for which it held: from ``first`` on, and before ``until`` if that is known.

    ``needs`` is what it needs of events that were stored under other rules.
    """

    rule: Rule
    first: int
    until: int | None
    needs: Needs


def load_rules(
    connection: Connection, meter_ids: Collection[str], version: int, cutoff: datetime
) -> dict[str, tuple[Rule, ...]]:
    """The rules of each meter as of a catalog version, each with the events that it held for.

    A meter that counted in the same way in every block, and was not filled until ``cutoff``, has one rule for all.
    """
    found = load_held(connection, meter_ids, version)
    by_blocks = rules_by_blocks(connection, found)
    filled = load_fills(connection, meter_ids, cutoff)
    return {
        meter_id: with_fills(rules, filled.get(meter_id, []), found[meter_id]) for meter_id, rules in by_blocks.items()
    }


def rules_by_blocks(connection: Connection, found: dict[str, list[Held]]) -> dict[str, tuple[Rule, ...]]:
    """The rules of each meter with the blocks for which they held, as if there were no fills."""
    oldest, newest = connection.execute(VERSIONS).one()
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


def with_fills(rules: tuple[Rule, ...], fills: list[tuple[Filled, int]], held: list[Held]) -> tuple[Rule, ...]:
    """Rules of blocks, and in their place those of fills (the youngest first) for the events that these cover."""
    if not fills:
        return rules
    younger: dict[int, list[Filled]] = defaultdict(list)
    result: list[Rule] = []
    for filled, version in fills:
        own = [one for one in held if one.first <= version and (one.until is None or one.until > version)]
        unless = tuple(younger[filled.partition])
        result += [replace(one.rule, filled=(filled,), unless=unless, needs=one.needs) for one in own]
        younger[filled.partition].append(filled)
    covered = tuple(filled for filled, _version in fills)
    return (*(replace(rule, unless=covered) for rule in rules), *alike(result))


def alike(rules: list[Rule]) -> list[Rule]:
    """Rules that differ in what they filled only, such as those of one fill in every partition, as one."""
    found: dict[Rule, list[Filled]] = defaultdict(list)
    for rule in rules:
        found[replace(rule, filled=None)] += rule.filled or ()
    return [replace(rule, filled=tuple(filled)) for rule, filled in found.items()]


def load_fills(
    connection: Connection, meter_ids: Collection[str], cutoff: datetime
) -> dict[str, list[tuple[Filled, int]]]:
    """Each meter's fills until a cut-off with their catalog versions, the youngest first."""
    found: dict[str, list[tuple[Filled, int]]] = defaultdict(list)
    rows = connection.execute(FILLS, {"meter_ids": list(meter_ids), "cutoff": cutoff})
    for meter_id, partition, starts_at, ends_at, filled_at, version in rows:
        found[meter_id].append((Filled(partition, starts_at, ends_at, filled_at), version))
    return found


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
        .add_columns(columns.expression, columns.aggregation, columns.from_version, columns.until_version)
        .where(columns.meter_id.in_(meter_ids), columns.from_version <= version)
        .order_by(columns.meter_id, columns.from_version)
    )
    found: dict[str, list[Held]] = defaultdict(list)
    for meter_id, event_type, value_property, filters, expression, aggregation, first, until in rows:
        rule = Rule(event_type, value_property, as_filters(filters), expression=expression)
        before = found[meter_id]
        needs: Needs = {"count": "nothing", "unique": "text"}.get(aggregation, "number")  # type: ignore[assignment]
        if before and (before[-1].rule, before[-1].needs, before[-1].until) == (rule, needs, first):
            first = before.pop().first  # noqa: PLW2901 - the same rule has held since then
        before.append(Held(rule, first, until, needs))
    return found
