"""One audit, from the log to the invoices.

    1. cut       fix the cut-off, so that a system at work can be audited: everything until then is sealed
    2. log       where it begins and ends now, and which incarnation of the ledger's it is
    3. ledger    holes, overlaps, positions, blocks left open; the log's ends against it
    4. blocks    each block's rows against its sealed digest, and against its messages where the log holds them
    5. events    fates by block and merchant, dead letters, rows without a block, doubles
    6. usage     events = windows = charge lines (+ late ones) = invoices, in decimals

The books are read as of one moment. Findings are in this order, so that the first is the nearest to the cause.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, Engine, text

from clickhouse.client import UsageStore
from core.clock import Clock
from core.db import transaction
from core.errors import Transient
from core.ids import new_id
from runtime.audit.blocks import load_blocks
from runtime.audit.check_blocks import Evidence, HeldLog, check_blocks
from runtime.audit.check_events import check_events
from runtime.audit.check_usage import check_usage
from runtime.audit.contiguity import check_ledger
from runtime.audit.finding import Finding, Part
from runtime.audit.log import LogReader
from runtime.audit.rebuild_corrected import Earlier
from runtime.audit.scope import Scope, open_scope
from runtime.conservation.check import READ_TOGETHER
from streams.catalog_cache import CatalogCache

INCARNATION = text("SELECT incarnation FROM stream_incarnations WHERE topic = :topic AND topic_id = :topic_id")
PLACES = text("SELECT partition, incarnation, next_offset FROM stream_partitions WHERE topic = :topic ORDER BY 1")


@dataclass(frozen=True, slots=True)
class AuditParts:
    """The stores that are audited, and the log."""

    books: Engine
    store: UsageStore
    log: LogReader
    topic: str
    clock: Clock


@dataclass(frozen=True, slots=True)
class Report:
    """What one audit found. ``since`` is None when it looked at everything; notes say what could not be looked at."""

    run_id: str
    topic: str
    since: datetime | None
    cutoff: datetime
    started_at: datetime
    finished_at: datetime
    findings: tuple[Finding, ...]
    figures: dict[str, int]
    notes: tuple[str, ...]

    @property
    def ok(self) -> bool:
        """Whether nothing differs."""
        return not self.findings


def audit(parts: AuditParts, since: datetime | None = None) -> Report:
    """Audit all blocks, or those announced from ``since`` on. Changes nothing.

    Raises ``Transient`` when a store does not answer. A log that does not answer is noted, and the rest is audited.
    """
    started_at = parts.clock.now()
    scope = open_scope(parts.books, parts.topic, started_at, since)
    notes: list[str] = []
    with transaction(parts.books) as connection:
        connection.execute(READ_TOGETHER)
        log = held_log(connection, parts.log, notes)
        blocks = load_blocks(connection, scope)
        evidence = evidence_of(parts, log)
        done = [
            check_ledger(connection, scope, blocks),
            check_ends(connection, scope, log),
            check_blocks(evidence, blocks),
            check_events(connection, parts.store, scope),
            check_usage(connection, parts.store, scope),
        ]
    figures = {name: figure for part in done for name, figure in part.figures.items()}
    return Report(
        run_id=new_id("audit"),
        topic=parts.topic,
        since=since,
        cutoff=scope.cutoff,
        started_at=started_at,
        finished_at=parts.clock.now(),
        findings=tuple(finding for part in done for finding in part.findings),
        figures=figures,
        notes=tuple(notes),
    )


def evidence_of(parts: AuditParts, log: HeldLog | None) -> Evidence:
    """What blocks can be held against."""
    catalog = CatalogCache(parts.books)
    return Evidence(parts.store, catalog, log, Earlier(parts.books, parts.store, parts.topic, catalog, parts.clock))


def held_log(connection: Connection, reader: LogReader, notes: list[str]) -> HeldLog | None:
    """The log that answers, if the ledger knows it; otherwise a note says why blocks were not held against it."""
    try:
        seen = reader.look()
    except Transient as error:
        notes.append(f"the log was not read: {error}")
        return None
    bound = {"topic": reader.topic, "topic_id": seen.topic_id}
    incarnation = connection.execute(INCARNATION, bound).scalar_one_or_none()
    if incarnation is None:
        notes.append("the log was not read: no worker has begun with this incarnation of it")
        return None
    return HeldLog(reader, seen, incarnation)


def check_ends(connection: Connection, scope: Scope, log: HeldLog | None) -> Part:
    """The log's ends against the ledger's positions; ``messages_behind`` counts what is not sealed yet."""
    if log is None:
        return Part([])
    places = connection.execute(PLACES, {"topic": scope.topic}).all()
    findings: list[Finding] = []
    behind = 0
    for row in places:
        if row.incarnation == log.incarnation:
            findings += end_findings(log, row.partition, row.next_offset)
            behind += max(0, log.seen.end.get(row.partition, 0) - row.next_offset)
    return Part(findings, {"messages_behind": behind})


def end_findings(log: HeldLog, partition: int, next_offset: int) -> Iterator[Finding]:
    """What is wrong with one partition's ends."""
    first, end = log.seen.first.get(partition, 0), log.seen.end.get(partition, 0)
    place = {"incarnation": log.incarnation, "partition": partition}
    if end < next_offset:
        said = f"partition {partition} is sealed up to {next_offset}, but the log ends at {end}"
        yield Finding("log_shorter", said, place)
    if first > next_offset:
        said = f"partition {partition}: messages {next_offset} to {first - 1} left the log before they were sealed"
        yield Finding("log_expired", said, {**place, "first_offset": next_offset, "last_offset": first - 1})
