"""Fills a hole in the ledger from the log, under the ledger's own rules.

    1. claim   take the partition over: its worker stops at its next step, starts again, and then knows the new keys
    2. finish  a block that was left open is done again, as its next owner would
    3. begin   write the repair's generation down
    4. lock    hold the partition's row: nobody can announce, seal or claim; and let no close take its cut-off
    5. fill    delete what lies in the hole, then events and windows as new blocks under tokens with the generation
    6. seal    the blocks, their dead letters and the envelopes' sequences, in the transaction that holds the lock

A crash before 6 leaves rows without a block, which the next repair deletes in its own step 5.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from datetime import timedelta
from time import sleep
from typing import Any

from sqlalchemy import Connection, func, insert, text
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.version import current_version
from core.db import transaction
from core.errors import Stop
from core.limits import BLOCK_EVENTS_MAX
from runtime.audit.check_blocks import Evidence, HeldLog
from runtime.audit.rebuild_corrected import alone_in
from runtime.audit.repair_ledger import LOCK_WAIT, Mending, begin_repairs, end_repairs
from runtime.audit.run import AuditParts
from streams import claim
from streams.block import HORIZON_S, BlockResult, Known, process_block
from streams.correct import process_corrections
from streams.dead_letter_rows import letter_rows
from streams.decode import Message
from streams.fill import process_fill
from streams.key_index import KeyIndex
from streams.ledger import Lease
from streams.ledger_past import fill_rows
from streams.ledger_postgres import LETTERS_AT_ONCE, PostgresLedger, locked, of_partition
from streams.partition import Partition
from streams.plan import AtHand, Intent, fitting
from streams.retry import Retry, RetryPolicy
from streams.rows import EVENTS, TABLES, UNIQUES, WINDOWS
from streams.sequences import SealedSequences
from streams.sink import Parts
from streams.store import ClickHouseStore, block_tokens, horizon_start
from streams.tables import dead_letters, stream_blocks, stream_fills, stream_partitions
from streams.window import BlockPlace

LOCK_CUTOFF = text("LOCK TABLE stream_blocks IN ROW EXCLUSIVE MODE")
NOW = text("SELECT clock_timestamp()")
TAKEN = text("""
    SELECT count(*) FROM stream_blocks WHERE topic = :topic AND incarnation = :incarnation
        AND partition = :partition AND state <> 'abandoned' AND first_offset <= :last AND last_offset >= :first
""")
# That of a block which the ledger lost may still be there, with the time at which it was done then.
FORGET_FILL = text("""
    DELETE FROM stream_fills WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition
        AND first_offset = :first
""")
IN_HOLE = (
    "incarnation = {incarnation:UInt32} AND partition = {partition:UInt16} "
    "AND block_first BETWEEN {first:UInt64} AND {last:UInt64}"
)


def fill_hole(parts: AuditParts, evidence: Evidence, place: dict[str, Any]) -> str:
    """Make blocks of the messages in a hole; raises ``Stop`` when the log does not hold all of them."""
    incarnation, partition = place["incarnation"], place["partition"]
    first, last = place["first_offset"], place["last_offset"]
    log = evidence.log
    if log is None or not holds(log, incarnation, partition, first, last):
        raise Stop(f"the log no longer holds messages {first} to {last} of partition {partition}")
    lease = take_over(parts, evidence, log, partition)
    messages = list(parts.log.read(partition, first, last))
    if [message.offset for message in messages] != list(range(first, last + 1)):
        raise Stop(f"messages are missing between {first} and {last} of partition {partition} in the log itself")
    hole = (incarnation, partition, first)
    generation = begin_repairs(parts.books, parts.topic, [Mending("hole", hole, last)])[0]
    bound = {"topic": parts.topic, "incarnation": incarnation, "partition": partition, "first": first, "last": last}
    with transaction(parts.books) as connection:
        connection.execute(LOCK_WAIT)
        row = locked(connection, lease)
        connection.execute(LOCK_CUTOFF)
        if connection.execute(TAKEN, bound).scalar_one():
            raise Stop(f"offsets {first} to {last} of partition {partition} belong to a block by now")
        clear(parts, bound)
        blocks = fill(parts, evidence, connection, lease, messages=messages, generation=generation)
        pairs = [pair for _intent, result in blocks for pair in result.sequences]
        sequences = SealedSequences(row.sealed_sequences).with_added(pairs)
        marks = [result.watermark for _intent, result in blocks if result.watermark is not None]
        connection.execute(
            of_partition(lease).values(
                sealed_sequences=sequences.as_json(),
                watermark=func.greatest(stream_partitions.c.watermark, max(marks, default=None)),
            )
        )
        end_repairs(connection, parts.topic, [(hole, generation)])
    stored = sum(result.counts.stored for _intent, result in blocks)
    return f"hole {first} to {last} of partition {partition} filled from the log: {stored} events counted anew"


def holds(log: HeldLog, incarnation: int, partition: int, first: int, last: int) -> bool:
    """Whether the log still holds all of a range."""
    seen = log.seen
    return (
        incarnation == log.incarnation and seen.first.get(partition, last + 1) <= first and last < seen.end[partition]
    )


def take_over(parts: AuditParts, evidence: Evidence, log: HeldLog, partition: int) -> Lease:
    """Claim a partition, and finish the block that its owner may have left open."""
    stream = Parts(
        ledger=PostgresLedger(parts.books),
        store=ClickHouseStore(parts.store),
        catalog=evidence.catalog,
        retry=Retry(RetryPolicy(), parts.clock, sleep),
    )
    seen = claim.LogSeen(parts.topic, log.incarnation)
    claimed = claim.claim_partition(stream, seen, partition, owner="auditor", now=parts.clock.now())
    intent = claimed.position.intent
    if intent is not None:
        messages = list(parts.log.read(partition, intent.first_offset, intent.last_offset))
        if Partition(stream, claimed).advance(messages).counts is None:
            raise Stop(f"block {intent.first_offset} to {intent.last_offset} of partition {partition} stays open")
    return claimed.lease


def clear(parts: AuditParts, bound: dict[str, Any]) -> None:
    """Delete whatever rows lie in the hole. A deletion waits for seconds, and mostly there are none."""
    where = {name: bound[name] for name in ("incarnation", "partition", "first", "last")}
    for table in TABLES:
        found = parts.store.query_frame(f"SELECT count() AS rows FROM {table} WHERE {IN_HOLE}", where)
        if found["rows"][0]:
            parts.store.command(f"ALTER TABLE {table} DELETE WHERE {IN_HOLE} SETTINGS mutations_sync = 2", where)


def fill(
    parts: AuditParts,
    evidence: Evidence,
    connection: Connection,
    lease: Lease,
    *,
    messages: Sequence[Message],
    generation: int,
) -> list[tuple[Intent, BlockResult]]:
    """Write the messages as blocks. A copy of what the partition has counted since is a duplicate here."""
    assert evidence.log is not None, "the messages came from it"
    version = current_version(connection)
    now = connection.execute(NOW).scalar_one()
    keys = ClickHouseStore(parts.store).keys(lease.partition, horizon_start(now), ())
    index = KeyIndex().with_added(keys, int(now.timestamp()) - HORIZON_S)
    done: list[tuple[Intent, BlockResult]] = []
    left = list(messages)
    while left:
        count = fitting([AtHand(message.offset, message.rows, message.alone) for message in left], BLOCK_EVENTS_MAX)
        some, left = left[:count], left[count:]
        # Apart by a microsecond, so that a block's time still says which blocks came before it.
        at = now + timedelta(microseconds=len(done))
        intent = Intent(evidence.log.incarnation, some[0].offset, some[-1].offset, version, at)
        # Sealed sequences are left out on purpose: the partition's set may name these very envelopes.
        result = make(evidence, lease.partition, intent, some, known=Known(index, SealedSequences()), done=done)
        store_rows(parts, lease, intent, result, generation)
        seal_rows(connection, lease, intent, result)
        index = index.with_added(result.claimed, int(now.timestamp()) - HORIZON_S)
        done.append((intent, result))
    return done


def make(
    evidence: Evidence,
    partition: int,
    intent: Intent,
    messages: Sequence[Message],
    *,
    known: Known,
    done: Sequence[tuple[Intent, BlockResult]],
) -> BlockResult:
    """One block's rows. The blocks ``done`` in this transaction are added to the past: nobody else sees them yet."""
    catalog = evidence.catalog(intent.catalog_version)
    place = BlockPlace(intent.intended_at, intent.incarnation, partition, intent.first_offset)
    alone = alone_in(messages)
    if alone is None:
        return process_block(messages, place, catalog, known)
    past = evidence.earlier.past(partition, intent)
    versions = {(earlier.incarnation, earlier.first_offset): earlier.catalog_version for earlier, _ in done}
    seen = replace(
        past,
        fills=(*past.fills, *(fill for _, result in done for fill in result.fills)),
        versions=lambda blocks: {**past.versions(blocks), **versions},
    )
    process = process_fill if alone.envelope.kind == "fill" else process_corrections
    return process(alone, place, catalog, known, seen)


def store_rows(parts: AuditParts, lease: Lease, intent: Intent, result: BlockResult, generation: int) -> None:
    """Steps 2 and 3 of a block, under tokens of the repair."""
    tokens = block_tokens(lease.topic, lease.partition, intent)
    rows = {EVENTS: result.events, WINDOWS: result.windows, UNIQUES: result.uniques}
    for table in TABLES:
        parts.store.insert_frame(table, rows[table], token=f"{tokens[table]}:r{generation}")


def seal_rows(connection: Connection, lease: Lease, intent: Intent, result: BlockResult) -> None:
    """Steps 1 and 4 of a block at once: nobody sees it before it is sealed."""
    connection.execute(
        insert(stream_blocks).values(
            topic=lease.topic,
            incarnation=intent.incarnation,
            partition=lease.partition,
            first_offset=intent.first_offset,
            last_offset=intent.last_offset,
            catalog_version=intent.catalog_version,
            epoch=lease.epoch,
            state="sealed",
            intended_at=intent.intended_at,
            sealed_at=func.clock_timestamp(),
            digest=result.digest,
            watermark=result.watermark,
            **asdict(result.counts),
        )
    )
    for rows in letter_rows(lease, intent, result.dead_letters, LETTERS_AT_ONCE):
        # Those of a block that the ledger lost may still be there.
        connection.execute(upsert(dead_letters).on_conflict_do_nothing(), rows)
    if result.fills:
        connection.execute(FORGET_FILL, place_of_block(lease, intent))
        connection.execute(insert(stream_fills), fill_rows(lease, intent, result.fills))


def place_of_block(lease: Lease, intent: Intent) -> dict[str, Any]:
    """What a block's line in the ledger is found by."""
    return {
        "topic": lease.topic,
        "incarnation": intent.incarnation,
        "partition": lease.partition,
        "first": intent.first_offset,
    }
