"""Damaged blocks of corrections and fills: found by their digest, proved and mended from what lay before them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import sleep

import pytest
from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from core.clock import SystemClock
from core.db import transaction
from ingest.correction import FillAsked, build_fill
from ingest.event import Envelope
from runtime.audit.blocks import Block, load_blocks
from runtime.audit.check_blocks import Evidence, check_blocks
from runtime.audit.log import LogReader
from runtime.audit.mended import Mended
from runtime.audit.read_rows import read_rows
from runtime.audit.rebuild import digest_of_rows
from runtime.audit.rebuild_corrected import alone_from_log, alone_in, load_fills
from runtime.audit.repair_blocks import Asked, BlockMender
from runtime.audit.rewrite import Stores
from runtime.audit.run import AuditParts, evidence_of
from runtime.audit.scope import BEGINNING, Scope
from streams.catalog_cache import CatalogCache
from streams.claim import Claims, LogSeen
from streams.decode import Message, Readable
from streams.ledger_postgres import PostgresLedger
from streams.retry import Retry, RetryPolicy
from streams.rows import EVENTS, UNIQUES, WINDOWS
from streams.sink import Parts
from streams.store import ClickHouseStore
from tests.streams.builders import NOON, PRODUCER, Said, minutes
from tests.streams.line import declare_catalog
from tests.streams.stories import Told, amend, message_of, retract

TOPIC = "usage"


def said(number: int, tokens: int = 1) -> Said:
    """One of some events, two a minute."""
    return Said(str(number), {"tokens": str(tokens)}, at=minutes(number // 2))


def fill_message(offset: int) -> Message:
    """A fill of the one meter."""
    asked = FillAsked("fil_1", "mer_a", "mtr_1", NOON, minutes(10))
    return Readable(offset, Envelope(PRODUCER, offset + 1, build_fill(asked, NOON)))


STORY: Sequence[Told] = (
    [said(number) for number in range(8)],
    [retract("1"), amend(said(2, 5)), retract("none")],
    [said(8), said(1)],
    [retract("3"), amend(said(1, 9))],
)
LOG = [*(message_of(told, offset) for offset, told in enumerate(STORY)), fill_message(len(STORY))]


@pytest.fixture
def parts(books: Engine, usage_store: UsageStore) -> AuditParts:
    """A partition that was told the story; no broker holds it."""
    declare_catalog(books)
    clock = SystemClock()
    ledger, store = PostgresLedger(books), ClickHouseStore(usage_store)
    stream = Parts(ledger, store, CatalogCache(books), Retry(RetryPolicy(), clock, lambda _wait_s: None))
    claims = Claims(stream, LogSeen(TOPIC, 1), owner="w", clock=clock)
    partition, waiting = claims.claim(0), list(LOG)
    while waiting:
        del waiting[: partition.advance(waiting).count]
    reader = LogReader("127.0.0.1:1", AdminClient({"bootstrap.servers": "127.0.0.1:1"}), TOPIC, clock)
    return AuditParts(books, usage_store, reader, TOPIC, clock)


def blocks_of(parts: AuditParts) -> list[Block]:
    """All blocks."""
    with transaction(parts.books) as connection:
        return load_blocks(connection, Scope(TOPIC, BEGINNING, SystemClock().now()))


def test_blocks_are_as_they_were_sealed(parts: AuditParts) -> None:
    """Read back in the very order and types, and nothing but the digest is asked."""
    part = check_blocks(evidence_of(parts, None), blocks_of(parts))

    assert part.findings == []
    assert part.figures["blocks_checked"] == len(LOG)


def mend(parts: AuditParts, evidence: Evidence, block: Block) -> Mended:
    """Repair a block's windows."""
    stores = Stores(parts.books, parts.store, TOPIC, Retry(RetryPolicy(), parts.clock, sleep))
    with transaction(parts.books) as connection:
        fills = load_fills(connection, TOPIC)
    return BlockMender(stores, evidence, fills).mend([Asked("windows", block)])[0]


@pytest.mark.parametrize("offset", [1, 3, 4])
def test_lost_windows_are_found_and_made_again(parts: AuditParts, offset: int) -> None:
    """The windows of corrections and of a fill follow from the rows before them."""
    evidence, block = evidence_of(parts, None), blocks_of(parts)[offset]
    before = read_rows(parts.store, 1, 0, offset, offset)
    assert before[WINDOWS].num_rows > 0
    parts.store.command(
        "ALTER TABLE usage_windows DELETE WHERE block_first = {first:UInt64} SETTINGS mutations_sync = 2",
        {"first": offset},
    )

    findings = check_blocks(evidence, [block]).findings
    assert [(found.code, found.repair) for found in findings] == [("windows_differ", "windows")]
    assert mend(parts, evidence, block).done

    assert read_rows(parts.store, 1, 0, offset, offset) == before
    assert check_blocks(evidence, blocks_of(parts)).findings == []


@pytest.mark.parametrize("offset", [1, 3, 4])
def test_whole_blocks_are_made_again_from_the_log(parts: AuditParts, offset: int) -> None:
    """With the digest that was sealed, although later blocks have corrected the same keys."""
    evidence, block = evidence_of(parts, None), blocks_of(parts)[offset]
    for table in (EVENTS, WINDOWS, UNIQUES):
        parts.store.command(
            f"ALTER TABLE {table} DELETE WHERE block_first = {{first:UInt64}} SETTINGS mutations_sync = 2",
            {"first": offset},
        )
    alone = alone_in(LOG[offset : offset + 1])
    assert alone is not None

    again = alone_from_log(alone, block, evidence.catalog(block.catalog_version), evidence.earlier)

    assert digest_of_rows(again) == block.digest


def test_a_message_that_was_left_out_makes_nothing_again(parts: AuditParts) -> None:
    """A second delivery of a correction or fill: the ledger tells which it was."""
    evidence = evidence_of(parts, None)
    correction, fill = blocks_of(parts)[1], blocks_of(parts)[4]
    elsewhere = replace(fill, first_offset=99, last_offset=99)
    for message, block in ((LOG[1], replace(correction, received=0, redelivered=3)), (LOG[4], elsewhere)):
        alone = alone_in([message])
        assert alone is not None
        again = alone_from_log(alone, block, evidence.catalog(block.catalog_version), evidence.earlier)
        assert sum(rows.num_rows for rows in again.values()) == 0
