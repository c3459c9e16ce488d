"""Every block in scope, row by row: stored rows against the sealed digest, and against the log where it is held."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial

from clickhouse.client import UsageStore
from core.errors import Stop, Transient
from runtime.audit.blocks import Block, Place, place_of_block, together
from runtime.audit.differ import Difference, events_behind, first_difference
from runtime.audit.finding import Finding, Part, Repair
from runtime.audit.keys_before import KeysBefore
from runtime.audit.log import LogReader, LogSeen
from runtime.audit.read_rows import Rows, read_rows, rows_of_block
from runtime.audit.rebuild import block_again, digest_of_rows, windows_again
from runtime.audit.rebuild_corrected import Earlier, alone_from_events, alone_from_log, alone_in
from streams.compiled import Compiled
from streams.decode import Message
from streams.key_index import KeyIndex
from streams.rows import EVENTS

ROWS_AT_ONCE = 200_000


@dataclass(frozen=True, slots=True)
class HeldLog:
    """The log as far as it can be read: of one incarnation, from some offset of each partition on."""

    reader: LogReader
    seen: LogSeen
    incarnation: int

    def holds(self, block: Block) -> bool:
        """Whether all of a block's messages are still there."""
        if block.incarnation != self.incarnation or block.partition not in self.seen.end:
            return False
        partition = block.partition
        return self.seen.first[partition] <= block.first_offset and block.last_offset < self.seen.end[partition]

    def messages(self, blocks: Sequence[Block]) -> list[Message]:
        """The messages of neighbouring blocks of one partition."""
        return list(self.reader.read(blocks[0].partition, blocks[0].first_offset, blocks[-1].last_offset))


@dataclass(frozen=True, slots=True)
class Evidence:
    """What a block can be held against."""

    store: UsageStore
    catalog: Callable[[int], Compiled]
    log: HeldLog | None
    earlier: Earlier


@dataclass(frozen=True, slots=True)
class Rebuilt:
    """A block made again: its rows, whether their digest is the sealed one, and where stored rows differ from them."""

    rows: Rows
    proved: bool
    difference: Difference | None


def check_blocks(evidence: Evidence, blocks: list[Block]) -> Part:
    """Read every block's rows, and its messages where the log holds them; raises ``Transient``."""
    findings: list[Finding] = []
    # Partitions in which an earlier block lost events, and with them the keys by which later ones are proved; or
    # windows, which a fill reads.
    bereft: dict[str, set[int]] = {"events_differ": set(), "windows_differ": set()}
    figures = {"blocks_checked": 0, "blocks_in_log": 0, "log_events": 0}
    keys: dict[tuple[int, int], KeysBefore] = {}
    for some in together(blocks, ROWS_AT_ONCE):
        first = some[0]
        rows = read_rows(evidence.store, first.incarnation, first.partition, first.first_offset, some[-1].first_offset)
        messages = messages_of(evidence, some)
        earlier = keys.setdefault((first.incarnation, first.partition), KeysBefore(evidence.store, first.partition))
        for block in some:
            own, said = rows_of_block(rows, block.first_offset), messages.get(place_of_block(block))
            figures["blocks_checked"] += 1
            if digest_of_rows(own) != block.digest:
                index = partial(earlier.before, block.intended_at, some[-1].intended_at)
                from_log = partial(rebuilt_from_log, evidence, block, own, said, index)
                lost = bereft["events_differ"] | (set() if block.received else bereft["windows_differ"])
                findings.append(explain(evidence, block, own, from_log, waits=block.partition in lost))
                bereft[findings[-1].code].add(block.partition)
            if said is not None:
                figures["blocks_in_log"] += 1
                figures["log_events"] += sum(message.rows for message in said)
                findings += unlike_log(block, said, own)
    return Part(findings, figures)


def messages_of(evidence: Evidence, neighbours: Sequence[Block]) -> dict[Place, list[Message]]:
    """The messages of those of a partition's neighbouring blocks that the log holds."""
    held = [block for block in neighbours if evidence.log is not None and evidence.log.holds(block)]
    return by_block(held, evidence.log.messages(held) if evidence.log is not None and held else [])


def by_block(blocks: Sequence[Block], messages: Sequence[Message]) -> dict[Place, list[Message]]:
    """The messages of each block of a partition, out of many in the order of the log."""
    offsets = [message.offset for message in messages]
    return {
        place_of_block(block): list(
            messages[bisect_left(offsets, block.first_offset) : bisect_right(offsets, block.last_offset)]
        )
        for block in blocks
    }


def unlike_log(block: Block, messages: list[Message], rows: Rows) -> Iterator[Finding]:
    """The block's counts against what the messages hold: in all, and for each merchant when nothing was left out."""
    in_log = sum(message.rows for message in messages)
    if in_log != block.received + block.redelivered:
        said = (
            f"{block} received {block.received} events and left out {block.redelivered} redelivered ones, "
            f"but the log holds {in_log} at its offsets"
        )
        yield Finding("block_unlike_log", said, block.place)
    if block.redelivered:
        return
    sent, stored = merchants_in_log(messages), count_by(rows[EVENTS].column("merchant_id").to_pylist())
    for merchant_id in sorted(sent.keys() | stored.keys()):
        if sent.get(merchant_id, 0) != stored.get(merchant_id, 0):
            said = (
                f"{block}: the log holds {sent.get(merchant_id, 0)} events of {merchant_id}, "
                f"and {stored.get(merchant_id, 0)} of them have a fate"
            )
            yield Finding("block_unlike_log", said, block.place, merchant_id=merchant_id)


def merchants_in_log(messages: list[Message]) -> dict[str, int]:
    """How many readable events of each merchant some messages hold."""
    counts: dict[str, int] = {}
    for message in messages:
        envelope = getattr(message, "envelope", None)
        # A fill is no event, and leaves no row of one.
        if envelope is not None and envelope.kind != "fill":
            for merchant_id, count in count_by(envelope.events.column("merchant_id").to_pylist()).items():
                counts[merchant_id] = counts.get(merchant_id, 0) + count
    return counts


def count_by(names: list[str]) -> dict[str, int]:
    """How often each name occurs."""
    counts: dict[str, int] = {}
    for name in names:
        counts[name] = counts.get(name, 0) + 1
    return counts


def explain(
    evidence: Evidence, block: Block, rows: Rows, from_log: Callable[[], Rebuilt | None], *, waits: bool
) -> Finding:
    """Why a block's rows do not have the sealed digest: the first row that differs, and what would mend it.

    ``waits`` says that an earlier block of the partition must be mended before this one can be proved.
    """
    again = from_events(evidence, block, rows)
    if again.proved and again.difference is not None:
        said = f"{block}: {again.difference.sentence()}"
        behind = events_behind(again.difference, rows[EVENTS])
        merchant = str(again.difference.row["merchant_id"])
        return Finding("windows_differ", said, block.place, behind, merchant, "windows")
    told = from_log()
    if told is None:
        said = f"{block}: its {rows[EVENTS].num_rows} events are not those sealed, and the log no longer holds them"
        return Finding("events_differ", said, block.place)
    if told.difference is None and waits:
        said = f"{block}: its rows follow from those of blocks before it, which are not those sealed"
        return Finding("events_differ", said, block.place, repair="block")
    if told.difference is None:
        said = f"{block}: its rows are what the log says, but not what was sealed: {block.digest}"
        return Finding("events_differ", said, block.place)
    behind = events_behind(told.difference, told.rows[EVENTS])
    said = f"{block}: {told.difference.sentence()}"
    merchant = str(told.difference.row["merchant_id"])
    mend: Repair | None = "block" if told.proved or waits else None
    return Finding("events_differ", said, block.place, behind, merchant, mend)


def from_events(evidence: Evidence, block: Block, rows: Rows) -> Rebuilt:
    """The block's windows made again from its stored events."""
    catalog = evidence.catalog(block.catalog_version)
    again = alone_from_events(rows, block, catalog, evidence.earlier)
    return judged(block, windows_again(rows[EVENTS], block, catalog) if again is None else again, rows)


def rebuilt_from_log(
    evidence: Evidence, block: Block, rows: Rows, messages: Sequence[Message] | None, index: Callable[[], KeyIndex]
) -> Rebuilt | None:
    """The whole block made again from its messages; None when the log has let go of them."""
    if messages is None:
        return None
    try:
        return judged(block, rows_from_log(evidence, block, rows, messages, index), rows)
    except (Transient, Stop):
        return None


def rows_from_log(
    evidence: Evidence, block: Block, rows: Rows, messages: Sequence[Message], index: Callable[[], KeyIndex]
) -> Rows:
    """A block's rows from its messages; of the ``rows`` that are stored, only the places of events are looked at.

    ``index`` says which keys the blocks before it had claimed. Raises ``Transient`` or ``Stop``.
    """
    catalog = evidence.catalog(block.catalog_version)
    alone = alone_in(messages)
    if alone is not None:
        return alone_from_log(alone, block, catalog, evidence.earlier)
    kept = frozenset(rows[EVENTS].column("kafka_offset").to_pylist())
    return block_again(messages, block, catalog, index(), kept)


def judged(block: Block, again: Rows, rows: Rows) -> Rebuilt:
    """The rows made again, held against the seal and against what is stored."""
    return Rebuilt(again, digest_of_rows(again) == block.digest, first_difference(again, rows))
