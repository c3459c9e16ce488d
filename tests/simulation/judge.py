"""A world at rest against plain Python: what was acknowledged, what each block should hold, what it holds."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import asdict
from typing import Any

from streams.block import Counts, Known, process_block
from streams.decode import Message, Unreadable
from streams.key_index import KeyIndex
from streams.ledger_memory import MemoryBlock
from streams.rows import EVENTS, FATES
from streams.sequences import SealedSequences
from streams.window import BlockPlace
from tests.simulation.clients import CATALOGS, body_of, key_of, laid_out
from tests.simulation.totals import totals_of
from tests.simulation.worker import TOPIC
from tests.simulation.world import World
from tests.streams.builders import Said
from tests.streams.naive import Naive

Fated = tuple[str, str, str]


def judge(world: World, *, redo: bool) -> None:
    """Tell the world's witness of everything that is wrong; ``redo`` does every sealed block once more (I4)."""
    witness = world.witness
    naive = Naive((), ())
    for partition in range(world.log.partitions):
        blocks = sealed_blocks(world, partition)
        check_contiguous(world, partition, blocks)
        check_blocks(world, partition, blocks, naive)
        if redo:
            check_redo(world, partition, blocks)
    check_orphans(world)
    check_promise(world)
    found = totals_of(world.store)
    for window in found.keys() | naive.windows.keys():
        if found.get(window) != naive.windows.get(window):
            witness.defect(f"I3: {window} holds {found.get(window)}, and should hold {naive.windows.get(window)}")
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


def check_blocks(world: World, partition: int, blocks: list[MemoryBlock], naive: Naive) -> None:
    """Every block's rows and counts are those of one-by-one plain Python (I1, I2, I9)."""
    kept = rows_by_block(world, partition)
    seen: set[tuple[Any, int]] = set()
    for block in blocks:
        intent, seal = block.intent, block.seal
        assert seal is not None, "a sealed block has its seal"
        place = (intent.incarnation, partition, intent.first_offset)
        naive.meters, naive.subjects = CATALOGS[world.variants[intent.catalog_version]]
        fated, counts = expected_of(world, world.witness.messages.get(place, ()), naive, seen)
        if kept.get(place[::2], []) != fated:
            world.witness.defect(f"I1: block {place} holds {kept.get(place[::2], [])}, and should hold {fated}")
        if seal.counts != counts:
            world.witness.defect(f"I9: block {place} is sealed as {asdict(seal.counts)}, and should be {counts}")


def expected_of(
    world: World, messages: tuple[Message, ...], naive: Naive, seen: set[tuple[Any, int]]
) -> tuple[list[Fated], Counts]:
    """Id, fate and reason of each event of a block, and its line of the ledger."""
    begun, redelivered, unreadable = len(naive.fates), 0, 0
    for message in messages:
        if isinstance(message, Unreadable):
            unreadable += 1
            continue
        identity = (message.envelope.producer, message.envelope.sequence)
        if identity in seen:
            redelivered += message.rows
            continue
        seen.add(identity)
        rows = message.envelope.events.select(["key", "body_hash"]).to_pylist()
        naive.feed(world.clients.said[row["key"], row["body_hash"]] for row in rows)
    fated = naive.fates[begun:]
    tally = Counter(fate for _, fate, _ in fated)
    counts = Counts(
        received=len(fated) + unreadable,
        stored=tally["stored"],
        duplicates=tally["duplicate"],
        conflicts=tally["conflict"],
        held=tally["held"],
        rejected=tally["rejected"] + unreadable,
        redelivered=redelivered,
    )
    return fated, counts


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
    names = ["key", "body_hash", "fate"]
    rows = list(zip(*(world.store.tables[EVENTS].column(name).to_pylist() for name in names), strict=True))
    claims = Counter(key for key, _, fate in rows if FATES[fate] in {"stored", "held"})
    copies = Counter((key, body) for key, body, _ in rows)
    refused = {key for key, _, fate in rows if FATES[fate] == "rejected"}
    for key, times in claims.items():
        if times > 1:
            world.witness.defect(f"I1: key {key.hex()} counts {times} times")
    acknowledged: Counter[tuple[bytes, int]] = Counter()
    names_of: dict[bytes, Said] = {}
    for event in world.clients.acknowledged():
        acknowledged[key_of(event), body_of(event)] += 1
        names_of[key_of(event)] = event
    for (key, body), times in acknowledged.items():
        if copies[key, body] < times:
            world.witness.defect(f"I1: {names_of[key].id} was acknowledged {times} times, kept {copies[key, body]}")
        if claims[key] == 0 and key not in refused:
            world.witness.defect(f"I1: {names_of[key].id} was acknowledged and does not count")


def check_redo(world: World, partition: int, blocks: list[MemoryBlock]) -> None:
    """I4: each block again, after those before it, has the digest that it was sealed with."""
    known = Known(KeyIndex(), SealedSequences())
    for block in blocks:
        intent = block.intent
        messages = world.witness.messages.get((intent.incarnation, partition, intent.first_offset), ())
        place = BlockPlace(intent.intended_at, intent.incarnation, partition, intent.first_offset)
        again = process_block(messages, place, laid_out(world.variants[intent.catalog_version]), known)
        if block.seal is None or again.digest != block.seal.digest:
            world.witness.defect(f"I4: {intent} of partition {partition} done again is another block")
        known = Known(
            known.index.with_added(again.claimed, 0), known.sequences.with_added(again.sequences), again.unreadable_run
        )
