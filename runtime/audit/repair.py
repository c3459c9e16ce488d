"""Mends what an audit found, where it can be proved what is right.

A block's rows are made again, from its stored events or from the log. They are written only if their digest is the one
that was sealed: then they are the very bytes that the stream wrote, and nothing new is decided.

ClickHouse remembers the tokens of past inserts and would drop rows that come again under the same one, without a word.
So a repair first writes its generation down in the ledger, then deletes the block's rows, then inserts under a
token with the generation behind it. A crash in between leaves a repair that is begun and not done, and the
block differs again: the next repair takes the next generation. For the moment between deleting and inserting, readers
see too little; a close is kept out.

Many blocks are mended at a time: a deletion waits for seconds and rewrites whole parts, for one as for a thousand.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from time import sleep
from typing import Any

from core.db import transaction
from core.errors import MillraceError
from runtime.audit.blocks import load_some, place_of_block
from runtime.audit.check_blocks import Evidence
from runtime.audit.finding import Finding, Repair
from runtime.audit.mended import Mended, place_in
from runtime.audit.read_rows import BLOCKS_AT_ONCE
from runtime.audit.rebuild_corrected import load_fills
from runtime.audit.repair_blocks import Asked, BlockMender
from runtime.audit.repair_hole import fill_hole
from runtime.audit.repair_ledger import sole_repair
from runtime.audit.repair_leftovers import delete_leftovers
from runtime.audit.rewrite import Stores
from runtime.audit.run import AuditParts, Report, evidence_of, held_log
from runtime.watcher import Watcher
from streams.retry import Retry, RetryPolicy

# Blocks of so many events are held in memory at once, in a few forms; or one block.
EVENTS_AT_ONCE = 250_000

Wanted = tuple[Repair, dict[str, Any]]


def repair(parts: AuditParts, report: Report, watcher: Watcher | None = None) -> list[Mended]:
    """Try to mend every finding that names a repair. Audit again afterwards: that alone proves it.

    Raises ``Conflict`` while another repair runs. What goes wrong with one repair does not keep the others.
    ``watcher`` is told of repairs.
    """
    watcher, found = watcher or Watcher(), wanted(report.findings)
    watcher.total(len(found))
    stores = Stores(parts.books, parts.store, parts.topic, Retry(RetryPolicy(), parts.clock, sleep))
    done: list[Mended] = []
    with sole_repair(parts.books, parts.topic):
        with transaction(parts.books) as connection:
            log = held_log(connection, parts.log, [])
        evidence = evidence_of(parts, log)
        for some in repairs(parts, stores, evidence, found):
            watcher.done(len(some))
            done += some
    return done


def repairs(parts: AuditParts, stores: Stores, evidence: Evidence, found: Sequence[Wanted]) -> Iterator[list[Mended]]:
    """Mend some after the other, and say what came of them."""
    yield from mend_blocks(stores, evidence, [one for one in found if one[0] in {"windows", "block"}])
    yield from delete_leftovers(stores, [place for kind, place in found if kind == "leftovers"])
    for kind, place in found:
        if kind == "hole":
            yield [attempt_hole(parts, evidence, place)]


def wanted(findings: Sequence[Finding]) -> list[Wanted]:
    """Each repair once: blocks in the order of the log, then leftovers, holes last."""
    order: dict[Repair, int] = {"windows": 0, "block": 0, "leftovers": 1, "hole": 2}
    seen: dict[tuple[Any, ...], Wanted] = {}
    for finding in findings:
        if finding.repair is not None:
            place = dict(finding.place)
            name = (order[finding.repair], *place_in(place), place.get("table", ""))
            seen.setdefault(name, (finding.repair, place))
    return sorted(
        seen.values(),
        key=lambda pair: (order[pair[0]], *place_in(pair[1])),
    )


def mend_blocks(stores: Stores, evidence: Evidence, found: Sequence[Wanted]) -> Iterator[list[Mended]]:
    """Mend blocks, given in the order of the log, in portions that memory can hold."""
    with transaction(stores.books) as connection:
        fills = load_fills(connection, stores.topic)
        sealed = load_some(connection, stores.topic, [place_in(place) for _kind, place in found])
    blocks = {place_of_block(block): block for block in sealed}
    gone = [one for one in found if place_in(one[1]) not in blocks]
    yield [Mended(kind, place, done=False, message="the ledger no longer has this block") for kind, place in gone]
    mender = BlockMender(stores, evidence, fills)
    for some in portions([Asked(kind, blocks[place_in(place)]) for kind, place in found if place_in(place) in blocks]):
        yield mender.mend(some)


def portions(found: Sequence[Asked]) -> Iterator[list[Asked]]:
    """Blocks in lists that are mended at once."""
    some: list[Asked] = []
    events = 0
    for asked in found:
        own = asked.block.received + asked.block.redelivered
        if some and (events + own > EVENTS_AT_ONCE or len(some) == BLOCKS_AT_ONCE):
            yield some
            some, events = [], 0
        some.append(asked)
        events += own
    if some:
        yield some


def attempt_hole(parts: AuditParts, evidence: Evidence, place: dict[str, Any]) -> Mended:
    """Fill a hole, and say what came of it."""
    try:
        return Mended("hole", place, done=True, message=fill_hole(parts, evidence, place))
    except MillraceError as error:
        return Mended("hole", place, done=False, message=str(error))
