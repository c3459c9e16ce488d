"""A world at rest against plain Python: what was acknowledged, what each block should hold, what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from typing import Any

from ingest.event import BACKFILL, RETRACT
from streams.block import Counts, Known
from streams.decode import Message, Readable, Unreadable
from streams.key_index import KeyIndex
from streams.ledger import Lease
from streams.ledger_memory import MemoryBlock
from streams.retry import Retry, RetryPolicy
from streams.rows import EVENT, EVENTS, FATES
from streams.sequences import SealedSequences
from streams.sink import Parts, compute
from tests.simulation.clients import CATALOGS, Sent, body_of, key_of, laid_out, said_of
from tests.simulation.totals import totals_of
from tests.simulation.worker import TOPIC
from tests.simulation.world import World
from tests.streams.builders import Said
from tests.streams.correction_oracle import Oracle
from tests.streams.stories import Corrected, Variant

Fated = tuple[str, str, str]


def judge(world: World, *, redo: bool) -> None:
    """Tell the world's witness of everything that is wrong; ``redo`` does every sealed block once more (I4)."""
    witness = world.witness
    oracle = Oracle([Variant(*CATALOGS[variant]) for variant in world.variants])
    for partition in range(world.log.partitions):
        blocks = sealed_blocks(world, partition)
        check_contiguous(world, partition, blocks)
        check_blocks(world, partition, blocks, oracle)
        if redo:
            check_redo(world, partition, blocks)
    check_orphans(world)
    check_promise(world)
    found = totals_of(world.store)
    # A meter's code stands for one aggregation in all catalogs.
    expected = {
        (code, subject, start, group): total for (code, _, subject, start, group), total in oracle.windows().items()
    }
    for window in found.keys() | expected.keys():
        if found.get(window) != expected.get(window):
            witness.defect(f"I3: {window} holds {found.get(window)}, and should hold {expected.get(window)}")
    letters = sum(block.seal.counts.rejected for block in all_sealed(world) if block.seal)
    if len(world.ledger.dead_letters) != letters:
        witness.defect(f"I9: {len(world.ledger.dead_letters)} dead letters for {letters} rejected")


def sealed_blocks(world: World, partition: int) -> list[MemoryBlock]:
    """In the order of sealing, since only one is open at a time."""
    row = world.ledger.partitions.get((TOPIC, partition))
    return [] if row is None else [block for block in row.blocks if block.state == "sealed"]


def all_sealed(world: World) -> Iterable[MemoryBlock]:
    """The sealed blocks of all partitions."""
    return (block for partition in range(world.log.partitions) for block in sealed_blocks(world, partition))


def check_contiguous(world: World, partition: int, blocks: list[MemoryBlock]) -> None:
    """I6: within an incarnation each block begins where the one before ended; incarnations never go back."""
    incarnation, expected = 0, 0
    for block in blocks:
        intent = block.intent
        if intent.incarnation > incarnation:
            incarnation, expected = intent.incarnation, 0
        if (intent.incarnation, intent.first_offset) != (incarnation, expected):
            world.witness.defect(f"I6: {intent} of partition {partition} does not begin at {incarnation}:{expected}")
        expected = intent.last_offset + 1


def check_blocks(world: World, partition: int, blocks: list[MemoryBlock], oracle: Oracle) -> None:
    """Every block's rows and counts are those of one-by-one plain Python (I1, I2, I9)."""
    kept = rows_by_block(world, partition)
    seen: set[tuple[Any, int]] = set()
    for block in blocks:
        intent, seal = block.intent, block.seal
        assert seal is not None, "a sealed block has its seal"
        place = (intent.incarnation, partition, intent.first_offset)
        messages = world.witness.messages.get(place, ())
        fated, counts = expected_of(world, messages, oracle, seen, intent.catalog_version)
        if kept.get(place[::2], []) != fated:
            world.witness.defect(f"I1: block {place} holds {kept.get(place[::2], [])}, and should hold {fated}")
        if seal.counts != counts:
            world.witness.defect(f"I9: block {place} is sealed as {asdict(seal.counts)}, and should be {counts}")


def expected_of(
    world: World, messages: tuple[Message, ...], oracle: Oracle, seen: set[tuple[Any, int]], version: int
) -> tuple[list[Fated], Counts]:
    """Id, fate and reason of each event and correction of a block, and its line of the ledger."""
    fated: list[Fated] = []
    redelivered, unreadable = 0, 0
    for message in messages:
        if isinstance(message, Unreadable):
            unreadable += 1
            continue
        identity = (message.envelope.producer, message.envelope.sequence)
        if identity in seen:
            redelivered += message.rows
            continue
        seen.add(identity)
        begun = len(oracle.fates)
        told = told_by(world, message)
        oracle.hear(told, len(seen), version)
        fates = oracle.fates[begun:]
        fated += [(name, fate, reason) for name, (fate, reason) in zip(ids_of(message), fates, strict=True)]
    tally = Counter(fate for _, fate, _ in fated)
    counts = Counts(
        received=len(fated) + unreadable,
        stored=tally["stored"],
        duplicates=tally["duplicate"],
        conflicts=tally["conflict"],
        held=tally["held"],
        rejected=tally["rejected"] + unreadable,
        retractions=tally["retraction"],
        redelivered=redelivered,
    )
    return fated, counts


def ids_of(message: Readable) -> list[str]:
    """What its events are called."""
    ids: list[str] = message.envelope.events.column("event_id").to_pylist()
    return ids


def told_by(world: World, message: Readable) -> Sequence[Said] | Sequence[Corrected]:
    """What a message says, as its client thinks of it."""
    rows, clients = message.envelope.events.to_pylist(), world.clients
    if message.envelope.kind == "events":
        return [clients.said[row["key"], row["body_hash"]] for row in rows]
    contents = [
        clients.named[row["key"]] if row["action"] == RETRACT else clients.said[row["key"], row["body_hash"]]
        for row in rows
    ]
    return [Corrected(row["action"], said) for row, said in zip(rows, contents, strict=True)]


def rows_by_block(world: World, partition: int) -> dict[tuple[int, ...], list[Fated]]:
    """Id, fate and reason of the events kept, by incarnation and first offset, in the order of the log."""
    found: dict[tuple[int, ...], list[Fated]] = {}
    names = ["partition", "incarnation", "block_first", "kafka_offset", "position", "event_id", "fate", "reason"]
    rows = sorted(zip(*(world.store.tables[EVENTS].column(name).to_pylist() for name in names), strict=True))
    for at, incarnation, first, _, _, event_id, fate, reason in rows:
        if at == partition:
            found.setdefault((incarnation, first), []).append((event_id, FATES[fate], reason))
    return found


def orphans(world: World) -> list[str]:
    """Blocks that left rows in a table and are not sealed."""
    sealed = {
        (block.intent.incarnation, partition, block.intent.first_offset)
        for partition in range(world.log.partitions)
        for block in sealed_blocks(world, partition)
    }
    found = []
    for table, rows in world.store.tables.items():
        columns = (rows.column(name).to_pylist() for name in ("incarnation", "partition", "block_first"))
        found += [f"{table} {place}" for place in set(zip(*columns, strict=True)) - sealed]
    return sorted(found)


def check_orphans(world: World) -> None:
    """I1: rows of blocks that were given up are gone."""
    for orphan in orphans(world):
        world.witness.defect(f"I1: {orphan} was never sealed and has rows")


def check_promise(world: World) -> None:
    """I1, from the clients' side alone: what was acknowledged is there, and claimed once or refused for good."""
    names = ["key", "body_hash", "action", "fate"]
    rows = list(zip(*(world.store.tables[EVENTS].column(name).to_pylist() for name in names), strict=True))
    claims = Counter((key, action) for key, _, action, fate in rows if FATES[fate] in {"stored", "held"})
    refused = {key for key, _, _, fate in rows if FATES[fate] == "rejected"}
    # A retraction's row repeats what it takes back, so it is known by its key alone.
    kept = Counter((key, action, 0 if action == RETRACT else body) for key, body, action, _ in rows)
    for (key, action), times in claims.items():
        if times > 1 and action == EVENT:
            world.witness.defect(f"I1: key {key.hex()} counts {times} times")
    acknowledged = Counter(map(row_of, world.clients.acknowledged()))
    for (key, action, body), times in acknowledged.items():
        name = world.clients.named[key].id
        if kept[key, action, body] < times:
            world.witness.defect(f"I1: {name} was acknowledged {times} times, kept {kept[key, action, body]}")
        if action == EVENT and claims[key, EVENT] + claims[key, BACKFILL] == 0 and key not in refused:
            world.witness.defect(f"I1: {name} was acknowledged and does not count")


def row_of(one: Sent) -> tuple[bytes, int, int]:
    """Key, action and body of the row that an event or correction must leave."""
    action = one.action if isinstance(one, Corrected) else EVENT
    return key_of(one), action, 0 if action == RETRACT else body_of(said_of(one))


def check_redo(world: World, partition: int, blocks: list[MemoryBlock]) -> None:
    """I4: each block again, after those before it, has the digest that it was sealed with."""
    known = Known(KeyIndex(), SealedSequences())
    patience = Retry(RetryPolicy(), world.clock, lambda _wait_s: None)
    parts = Parts(world.ledger, world.store, lambda version: laid_out(world.variants[version]), patience)
    lease = Lease(TOPIC, partition, "judge", 0)
    for block in blocks:
        intent = block.intent
        messages = world.witness.messages.get((intent.incarnation, partition, intent.first_offset), ())
        again = compute(parts, lease, intent, messages, known)
        if block.seal is None or again.digest != block.seal.digest:
            world.witness.defect(f"I4: {intent} of partition {partition} done again is another block")
        known = Known(
            known.index.with_added(again.claimed, 0), known.sequences.with_added(again.sequences), again.unreadable_run
        )
