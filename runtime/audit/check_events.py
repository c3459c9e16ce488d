"""Events against the ledger: fates by block and merchant, dead letters, rows that belong to no block, and doubles."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl
from sqlalchemy import Connection

from catalog.read_frame import read_frame
from clickhouse.client import UsageStore
from core.frames import Schema
from runtime.audit.blocks import Place
from runtime.audit.finding import Finding, Part
from runtime.audit.mended import place_in
from runtime.audit.read_rows import BLOCKS_AT_ONCE, of_places
from runtime.audit.scope import Scope

FATES = {
    "stored": "stored",
    "duplicates": "duplicate",
    "conflicts": "conflict",
    "held": "held",
    "rejected": "rejected",
    "retractions": "retraction",
}
KEY = ("incarnation", "partition", "first_offset")
EXAMPLES_MAX = 10
DOUBLES_MAX = 100

LEDGER = """
    SELECT b.incarnation, b.partition, b.first_offset, b.last_offset, b.stored, b.duplicates, b.conflicts, b.held,
        b.rejected - (
            SELECT count(*) FROM dead_letters AS d WHERE d.topic = b.topic AND d.incarnation = b.incarnation
                AND d.partition = b.partition AND d.position < 0
                AND d.kafka_offset BETWEEN b.first_offset AND b.last_offset
        ) AS rejected, b.retractions
    FROM stream_blocks AS b
    WHERE b.topic = %(topic)s AND b.state = 'sealed' AND b.intended_at >= %(since)s AND b.intended_at <= %(cutoff)s
"""
LEDGER_SCHEMA: Schema = dict.fromkeys((*KEY, "last_offset", *FATES), pl.Int64())
LETTERS = """
    SELECT d.incarnation, d.partition, b.first_offset, d.merchant_id, count(*)
    FROM dead_letters AS d JOIN stream_blocks AS b ON b.topic = d.topic AND b.incarnation = d.incarnation
        AND b.partition = d.partition AND d.kafka_offset BETWEEN b.first_offset AND b.last_offset
    WHERE d.topic = %(topic)s AND d.position >= 0 AND b.state = 'sealed'
        AND b.intended_at >= %(since)s AND b.intended_at <= %(cutoff)s
    GROUP BY 1, 2, 3, 4
"""
LETTERS_SCHEMA: Schema = {
    **dict.fromkeys(KEY, pl.Int64()),
    "merchant_id": pl.String(),
    "letters": pl.Int64(),
}
IN_SCOPE = "stored_at >= {since:DateTime64(6, 'UTC')} AND stored_at <= {cutoff:DateTime64(6, 'UTC')}"
PLACE = "toInt64(incarnation) AS incarnation, toInt64(partition) AS partition, toInt64(block_first) AS first_offset"
EVENTS = f"""
    SELECT {PLACE}, toString(merchant_id) AS merchant_id,
        {", ".join(f"toInt64(countIf(fate = '{fate}')) AS {column}" for column, fate in FATES.items())}
    FROM usage_events WHERE {IN_SCOPE} GROUP BY incarnation, partition, first_offset, merchant_id
"""
OTHER_ROWS = f"SELECT {PLACE}, toInt64(count()) AS rows FROM {{table}} WHERE {IN_SCOPE} GROUP BY 1, 2, 3"
EXAMPLES = f"""
    SELECT toInt64(t.incarnation), toInt64(t.partition), toInt64(t.block_first), t.event_id
    FROM usage_events AS t WHERE {{condition}}
    ORDER BY t.incarnation, t.partition, t.block_first, t.kafka_offset, t.position
    LIMIT {EXAMPLES_MAX} BY t.incarnation, t.partition, t.block_first
"""
# Corrections are no copies: the last one of a key counts, and those before it do not.
DOUBLED = f"""
    SELECT toString(any(merchant_id)) AS merchant_id, any(event_id) AS event_id, any(toString(source)) AS source,
        toInt64(count()) AS copies, groupArray((toInt64(partition), toInt64(kafka_offset), toInt64(position))) AS places
    FROM usage_events WHERE fate = 'stored' AND action = 'event' AND stored_at <= {{cutoff:DateTime64(6, 'UTC')}}
    GROUP BY key HAVING copies > 1 AND max(stored_at) >= {{since:DateTime64(6, 'UTC')}}
    ORDER BY merchant_id, event_id LIMIT {DOUBLES_MAX}
"""


def check_events(connection: Connection, store: UsageStore, scope: Scope) -> Part:
    """Compare counts of fates; every event and rejected one has its place. Raises ``Transient``."""
    bound: dict[str, object] = {"since": scope.since, "cutoff": scope.cutoff}
    ledger = read_frame(connection, LEDGER, {"topic": scope.topic, **bound}, LEDGER_SCHEMA)
    letters = read_frame(connection, LETTERS, {"topic": scope.topic, **bound}, LETTERS_SCHEMA)
    events = store.query_frame(EVENTS, bound)
    findings = [*fates_differ(store, ledger, events), *letters_differ(events, letters)]
    findings += rows_without_block(store, ledger, events, bound)
    findings += doubled(store, bound)
    figures = {column: int(events[column].sum()) for column in FATES}
    return Part(findings, {"merchants": events["merchant_id"].n_unique(), **figures})


def fates_differ(store: UsageStore, ledger: pl.DataFrame, events: pl.DataFrame) -> Iterator[Finding]:
    """Blocks whose counts are not those of their events."""
    found = events.group_by(KEY).agg(pl.col(*FATES).sum())
    both = ledger.join(found, on=KEY, how="left", suffix="_found").fill_null(0)
    differs = pl.any_horizontal(pl.col(name) != pl.col(f"{name}_found") for name in FATES)
    wrong = both.filter(differs).sort(KEY)
    behind = examples(store, wrong)
    for row in wrong.iter_rows(named=True):
        told = ", ".join(
            f"{row[name]} {name} (events: {row[f'{name}_found']})"
            for name in FATES
            if row[name] != row[f"{name}_found"]
        )
        said = (
            f"block {row['first_offset']} to {row['last_offset']} of incarnation {row['incarnation']}, partition "
            f"{row['partition']}: the ledger says {told}"
        )
        place = {name: row[name] for name in (*KEY, "last_offset")}
        yield Finding("fates_differ", said, place, behind[place_in(place)])


def letters_differ(events: pl.DataFrame, letters: pl.DataFrame) -> Iterator[Finding]:
    """Blocks whose rejected events of a merchant are not its dead letters."""
    rejected = events.filter(pl.col("rejected") > 0).select(*KEY, "merchant_id", "rejected")
    on = [*KEY, "merchant_id"]
    both = rejected.join(letters, on=on, how="full", coalesce=True).fill_null(0)
    for row in both.filter(pl.col("rejected") != pl.col("letters")).sort(on).iter_rows(named=True):
        said = (
            f"block {row['first_offset']} of partition {row['partition']}: {row['rejected']} rejected events of "
            f"{row['merchant_id']}, {row['letters']} dead letters"
        )
        place = {name: row[name] for name in KEY}
        yield Finding("dead_letters_differ", said, place, merchant_id=row["merchant_id"])


def rows_without_block(
    store: UsageStore, ledger: pl.DataFrame, events: pl.DataFrame, bound: dict[str, object]
) -> Iterator[Finding]:
    """Rows of any table whose block was never sealed: left by a block given up, or by nobody that we know."""
    tables = {
        "usage_events": events.group_by(KEY).agg(rows=pl.sum_horizontal(pl.col(*FATES).sum())),
        **{
            name: store.query_frame(OTHER_ROWS.replace("{table}", name), bound)
            for name in ("usage_windows", "usage_uniques")
        },
    }
    for table, found in tables.items():
        unknown = found.join(ledger, on=KEY, how="anti").sort(KEY)
        behind = examples(store, unknown)
        for row in unknown.iter_rows(named=True):
            said = (
                f"{table} has {row['rows']} rows of block {row['first_offset']} of incarnation "
                f"{row['incarnation']}, partition {row['partition']}, which the ledger has not sealed"
            )
            place = {"table": table, **{name: row[name] for name in KEY}}
            yield Finding("rows_without_block", said, place, behind[place_in(place)], repair="leftovers")


def examples(store: UsageStore, blocks: pl.DataFrame) -> dict[Place, tuple[str, ...]]:
    """Ids of the first events of each of some blocks."""
    found: dict[Place, list[str]] = {place: [] for place in blocks.select(KEY).iter_rows()}
    for some in blocks.select(KEY).iter_slices(BLOCKS_AT_ONCE):
        condition, bound = of_places(some.iter_rows())
        for incarnation, partition, first, event_id in store.query_frame(
            EXAMPLES.replace("{condition}", condition), bound
        ).iter_rows():
            found[incarnation, partition, first].append(event_id)
    return {place: tuple(ids) for place, ids in found.items()}


def doubled(store: UsageStore, bound: dict[str, object]) -> Iterator[Finding]:
    """Events with more than one counted copy."""
    for row in store.query_frame(DOUBLED, bound).iter_rows(named=True):
        places = [list(place.values()) if isinstance(place, dict) else list(place) for place in row["places"]]
        said = f"event {row['event_id']!r} of {row['merchant_id']} is counted {row['copies']} times"
        place = {"source": row["source"], "places": places}
        yield Finding("event_doubled", said, place, (row["event_id"],), row["merchant_id"])
