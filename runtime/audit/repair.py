"""Mends what an audit found, where it can be proved what is right.

A block's rows are made again, from its stored events or from the log. They are written only if their digest is the one
that was sealed: then they are the very bytes that the stream wrote, and nothing new is decided.

ClickHouse remembers the tokens of past inserts and would drop rows that come again under the same one, without a word.
So a repair first writes its generation down in the ledger, then deletes the block's rows, then inserts under the
block's token with the generation behind it. A crash in between leaves a repair that is begun and not done, and the
block differs again: the next repair takes the next generation. For the moment between deleting and inserting, readers
see too little; a close is kept out.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from core.db import transaction
from core.errors import MillraceError, Stop
from runtime.audit.blocks import Block, load_block
from runtime.audit.check_blocks import Evidence, from_events, rebuilt_from_log
from runtime.audit.finding import Finding, Repair
from runtime.audit.read_rows import Rows, read_rows
from runtime.audit.rebuild import digest_of_rows
from runtime.audit.repair_hole import fill_hole
from runtime.audit.repair_ledger import begin_repair, end_repair, sole_repair, without_close
from runtime.audit.run import AuditParts, Report, evidence_of, held_log
from streams.rows import TABLES, UNIQUES, WINDOWS
from streams.store import OF_BLOCK, block_tokens


@dataclass(frozen=True, slots=True)
class Mended:
    """What became of one repair; ``done`` is False when it was left as it was, and ``message`` says why."""

    kind: Repair
    place: dict[str, Any]
    done: bool
    message: str


def repair(parts: AuditParts, report: Report) -> list[Mended]:
    """Try to mend every finding that names a repair. Audit again afterwards: that alone proves it.

    Raises ``Conflict`` while another repair runs. What goes wrong with one repair does not keep the others.
    """
    with sole_repair(parts.books, parts.topic):
        with transaction(parts.books) as connection:
            notes: list[str] = []
            log = held_log(connection, parts.log, notes)
        evidence = evidence_of(parts, log)
        return [attempt(parts, evidence, kind, place) for kind, place in wanted(report.findings)]


def wanted(findings: Sequence[Finding]) -> list[tuple[Repair, dict[str, Any]]]:
    """Each repair once: blocks in the order of the log, then leftovers, holes last."""
    order: dict[Repair, int] = {"windows": 0, "block": 0, "leftovers": 1, "hole": 2}
    seen: dict[tuple[Any, ...], tuple[Repair, dict[str, Any]]] = {}
    for finding in findings:
        if finding.repair is not None:
            place = dict(finding.place)
            name = (finding.repair, place["incarnation"], place["partition"], place["first_offset"])
            seen.setdefault((*name, place.get("table", "")), (finding.repair, place))
    return sorted(
        seen.values(),
        key=lambda pair: (order[pair[0]], pair[1]["incarnation"], pair[1]["partition"], pair[1]["first_offset"]),
    )


def attempt(parts: AuditParts, evidence: Evidence, kind: Repair, place: dict[str, Any]) -> Mended:
    """One repair, and what came of it."""
    try:
        if kind == "hole":
            said = fill_hole(parts, evidence, place)
        elif kind == "leftovers":
            said = delete_leftovers(parts, place)
        else:
            said = mend_block(parts, evidence, kind, place)
    except MillraceError as error:
        return Mended(kind, place, done=False, message=str(error))
    return Mended(kind, place, done=True, message=said)


def mend_block(parts: AuditParts, evidence: Evidence, kind: Repair, place: dict[str, Any]) -> str:
    """Write a block's rows again; raises ``Stop`` when they cannot be proved."""
    with transaction(parts.books) as connection:
        block = load_block(connection, parts.topic, place["incarnation"], place["partition"], place["first_offset"])
    if block is None:
        raise Stop("the ledger no longer has this block")
    with without_close(parts.books) as connection:
        stored = read_rows(parts.store, block.incarnation, block.partition, block.first_offset, block.first_offset)
        if digest_of_rows(stored) == block.digest:
            return f"{block} is as it was sealed: nothing to do"
        again = from_events(evidence, block, stored)
        tables = [WINDOWS, UNIQUES]
        if not again.proved:
            found = None if evidence.log is None else rebuilt_from_log(evidence, evidence.log, block, stored)
            if found is None or not found.proved:
                raise Stop(f"{block} cannot be made again with the digest that was sealed; nothing was changed")
            again, tables = found, list(TABLES)
        generation = begin_repair(
            parts.books,
            kind,
            topic=parts.topic,
            incarnation=block.incarnation,
            partition=block.partition,
            first=block.first_offset,
            last=block.last_offset,
        )
        rewrite(parts, block, again.rows, tables, generation)
        end_repair(
            connection,
            topic=parts.topic,
            incarnation=block.incarnation,
            partition=block.partition,
            first=block.first_offset,
            generation=generation,
        )
    rows = sum(again.rows[table].num_rows for table in tables)
    return f"{block}: {rows} rows of {', '.join(tables)} written again, generation {generation}"


def rewrite(parts: AuditParts, block: Block, rows: Rows, tables: Sequence[str], generation: int) -> None:
    """Delete a block's rows and insert them again; raises ``Stop`` unless the block then has its digest."""
    tokens = block_tokens(parts.topic, block.partition, block.intent)
    for table in tables:
        delete_rows(parts, table, block.place)
        parts.store.insert_frame(table, rows[table], token=f"{tokens[table]}:r{generation}")
    stored = read_rows(parts.store, block.incarnation, block.partition, block.first_offset, block.first_offset)
    if digest_of_rows(stored) != block.digest:
        raise Stop(f"{block} was written again and still differs: somebody else writes to it")


def delete_leftovers(parts: AuditParts, place: dict[str, Any]) -> str:
    """Delete the rows of a block that was given up; raises ``Stop`` for any other, which may be the only evidence."""
    with without_close(parts.books) as connection:
        state = connection.exec_driver_sql(
            "SELECT state FROM stream_blocks WHERE topic = %(topic)s AND incarnation = %(incarnation)s"
            " AND partition = %(partition)s AND first_offset = %(first_offset)s",
            {"topic": parts.topic, **{name: place[name] for name in ("incarnation", "partition", "first_offset")}},
        ).scalar_one_or_none()
        if state != "abandoned":
            raise Stop("these rows may be all that is left of a block: fill its hole from the log instead")
        delete_rows(parts, place["table"], place)
    return f"rows of the given-up block {place['first_offset']} deleted from {place['table']}"


def delete_rows(parts: AuditParts, table: str, place: dict[str, Any]) -> None:
    """Delete a block's rows of one table; when it returns they are gone."""
    bound = {
        "incarnation": place["incarnation"],
        "partition": place["partition"],
        "first": place["first_offset"],
    }
    parts.store.command(f"ALTER TABLE {table} DELETE WHERE {OF_BLOCK} SETTINGS mutations_sync = 2", bound)
