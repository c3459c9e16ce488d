"""The block ledger in Postgres."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import Any

from sqlalchemy import (
    Connection,
    DateTime,
    Engine,
    Row,
    Select,
    Table,
    func,
    insert,
    literal_column,
    select,
    text,
    update,
)
from sqlalchemy.dialects.postgresql import insert as upsert

from catalog.version import current_version
from core.db import transaction
from core.errors import Stop
from streams.dead_letter_rows import letter_rows
from streams.fills import Fill
from streams.incarnation import number_incarnation
from streams.ledger import BlockName, Lease, Position, Seal, SealedBlock
from streams.ledger_past import fill_rows, load_fills, load_versions, next_time
from streams.plan import Intent
from streams.sequences import SealedSequences
from streams.tables import dead_letters, stream_blocks, stream_fills, stream_partitions

NOW = literal_column("clock_timestamp()", DateTime(timezone=True))
LETTERS_AT_ONCE = 2_000
BOUNDS = text(
    "SELECT set_config('statement_timeout', :statement_ms, true), set_config('lock_timeout', :statement_ms, true), "
    "set_config('idle_in_transaction_session_timeout', :idle_ms, true)"
)


class PostgresLedger:
    """``streams.ledger.Ledger`` on Postgres. ``statement_timeout_ms`` bounds every wait for it.

    ``idle_timeout_ms`` bounds how long Postgres waits for us in the middle of a transaction: a worker that is frozen
    there would keep its partition's row, and nobody could take the partition over.
    """

    def __init__(self, engine: Engine, *, statement_timeout_ms: int = 15_000, idle_timeout_ms: int = 10_000) -> None:
        self._engine = engine
        self._statement_timeout_ms = statement_timeout_ms
        self._idle_timeout_ms = idle_timeout_ms

    def register(self, topic: str, topic_id: str, partitions: int) -> int:
        """See ``Ledger.register``. Raises ``Stop`` when the number of partitions changed."""
        with self._transaction() as connection:
            return number_incarnation(connection, topic, topic_id, partitions)

    def claim(self, topic: str, partition: int, owner: str, incarnation: int) -> tuple[Lease, Position]:
        """See ``Ledger.claim``."""
        fresh = {
            "topic": topic,
            "partition": partition,
            "incarnation": incarnation,
            "owner": owner,
            "epoch": 1,
            "next_offset": 0,
            "sealed_sequences": {},
        }
        with self._transaction() as connection:
            row = connection.execute(
                upsert(stream_partitions)
                .values(fresh)
                .on_conflict_do_update(
                    index_elements=["topic", "partition"],
                    set_={"owner": owner, "epoch": stream_partitions.c.epoch + 1, "updated_at": NOW},
                )
                .returning(stream_partitions)
            ).one()
            if row.incarnation > incarnation:
                raise Stop(f"partition {partition} is already in incarnation {row.incarnation} of {topic}")
            position = Position(
                incarnation=row.incarnation,
                next_offset=row.next_offset,
                intent=open_intent(connection, topic, partition),
                sequences=SealedSequences(row.sealed_sequences),
                unreadable_run=row.unreadable_run,
                watermark=row.watermark,
            )
        return Lease(topic, partition, owner, row.epoch), position

    def intend(self, lease: Lease, incarnation: int, first_offset: int, last_offset: int) -> Intent:
        """See ``Ledger.intend``."""
        with self._transaction() as connection:
            row = locked(connection, lease)
            found = open_intent(connection, lease.topic, lease.partition)
            if found is not None:
                # Our own first try may have been committed without our hearing of it.
                if (found.incarnation, found.first_offset, found.last_offset) == (
                    incarnation,
                    first_offset,
                    last_offset,
                ):
                    return found
                raise Stop(f"block {found.first_offset}..{found.last_offset} of {lease} is still open")
            if (row.incarnation, row.next_offset) != (incarnation, first_offset):
                raise Stop(f"{lease} stands at {row.incarnation}:{row.next_offset}, not {incarnation}:{first_offset}")
            intended_at = connection.execute(
                upsert(stream_blocks)
                .values(
                    topic=lease.topic,
                    incarnation=incarnation,
                    partition=lease.partition,
                    first_offset=first_offset,
                    last_offset=last_offset,
                    catalog_version=(version := current_version(connection)),
                    epoch=lease.epoch,
                    state="intent",
                    intended_at=next_time(connection, lease, incarnation, first_offset),
                )
                .on_conflict_do_nothing(index_elements=["topic", "incarnation", "partition", "first_offset"])
                .returning(stream_blocks.c.intended_at)
            ).scalar_one_or_none()
            if intended_at is None:
                raise Stop(f"block {incarnation}:{first_offset} of {lease} was given up: its log is gone")
        return Intent(incarnation, first_offset, last_offset, version, intended_at)

    def seal(self, lease: Lease, intent: Intent, seal: Seal) -> None:
        """See ``Ledger.seal``."""
        with self._transaction() as connection:
            locked(connection, lease)
            done = {
                "state": "sealed",
                "sealed_at": NOW,
                "epoch": lease.epoch,
                "digest": seal.digest,
                "watermark": seal.watermark,
                **asdict(seal.counts),
            }
            if not close_block(connection, lease, intent, done):
                check_sealed(connection, lease, intent, seal)
                return
            connection.execute(
                of_partition(lease).values(
                    next_offset=intent.last_offset + 1,
                    sealed_sequences=seal.sequences.as_json(),
                    unreadable_run=seal.unreadable_run,
                    watermark=func.greatest(stream_partitions.c.watermark, seal.watermark),
                    updated_at=NOW,
                )
            )
            for rows in letter_rows(lease, intent, seal.dead_letters, LETTERS_AT_ONCE):
                connection.execute(insert(dead_letters), rows)
            if seal.fills:
                connection.execute(insert(stream_fills), fill_rows(lease, intent, seal.fills))

    def abandon(self, lease: Lease, intent: Intent) -> None:
        """See ``Ledger.abandon``."""
        with self._transaction() as connection:
            locked(connection, lease)
            close_block(connection, lease, intent, {"state": "abandoned", "epoch": lease.epoch})

    def abandoned(self, lease: Lease) -> tuple[Intent, ...]:
        """See ``Ledger.abandoned``."""
        given_up = (
            select(stream_blocks)
            .where(same_partition(stream_blocks, lease), stream_blocks.c.state == "abandoned")
            .order_by(stream_blocks.c.intended_at.desc())
            .limit(100)
        )
        with self._transaction() as connection:
            return tuple(as_intent(row) for row in connection.execute(given_up))

    def versions(self, lease: Lease, blocks: Collection[BlockName]) -> dict[BlockName, int]:
        """See ``Ledger.versions``."""
        with self._transaction() as connection:
            return load_versions(connection, lease.topic, lease.partition, blocks)

    def fills(self, lease: Lease) -> tuple[Fill, ...]:
        """See ``Ledger.fills``."""
        with self._transaction() as connection:
            return load_fills(connection, lease.topic, lease.partition)

    def last_sealed(self, lease: Lease) -> SealedBlock | None:
        """See ``SealedBlocks.last_sealed``."""
        youngest = (
            sealed_blocks(lease)
            .order_by(stream_blocks.c.incarnation.desc(), stream_blocks.c.first_offset.desc())
            .limit(1)
        )
        with self._transaction() as connection:
            row = connection.execute(youngest).one_or_none()
        return None if row is None else as_sealed(row)

    def has_sealed(self, lease: Lease, block: SealedBlock) -> bool:
        """See ``SealedBlocks.has_sealed``."""
        there = sealed_blocks(lease).where(
            stream_blocks.c.incarnation == block.incarnation, stream_blocks.c.last_offset == block.next_offset - 1
        )
        with self._transaction() as connection:
            return any(as_sealed(row) == block for row in connection.execute(there))

    def enter(self, lease: Lease, incarnation: int) -> None:
        """See ``Ledger.enter``."""
        with self._transaction() as connection:
            row = locked(connection, lease)
            if row.incarnation == incarnation:
                return
            if row.incarnation > incarnation or open_intent(connection, lease.topic, lease.partition) is not None:
                raise Stop(f"{lease} cannot go from incarnation {row.incarnation} to {incarnation}")
            connection.execute(
                of_partition(lease).values(incarnation=incarnation, next_offset=0, unreadable_run=0, updated_at=NOW)
            )

    @contextmanager
    def _transaction(self) -> Iterator[Connection]:
        with transaction(self._engine) as connection:
            connection.execute(
                BOUNDS, {"statement_ms": str(self._statement_timeout_ms), "idle_ms": str(self._idle_timeout_ms)}
            )
            yield connection


def locked(connection: Connection, lease: Lease) -> Row[Any]:
    """The partition's row, held until the transaction ends; raises ``Stop`` when the lease was overtaken."""
    row = connection.execute(
        select(stream_partitions).where(same_partition(stream_partitions, lease)).with_for_update()
    ).one_or_none()
    if row is None or (row.owner, row.epoch) != (lease.owner, lease.epoch):
        holder = "nobody" if row is None else f"{row.owner} (epoch {row.epoch})"
        raise Stop(f"{lease} is no longer ours: {holder} holds it")
    return row


def open_intent(connection: Connection, topic: str, partition: int) -> Intent | None:
    """The partition's announced and unsealed block, if there is one."""
    row = connection.execute(
        select(stream_blocks).where(
            stream_blocks.c.topic == topic,
            stream_blocks.c.partition == partition,
            stream_blocks.c.state == "intent",
        )
    ).one_or_none()
    return None if row is None else as_intent(row)


def as_intent(row: Row[Any]) -> Intent:
    """A row of ``stream_blocks`` as what was announced."""
    return Intent(row.incarnation, row.first_offset, row.last_offset, row.catalog_version, row.intended_at)


def sealed_blocks(lease: Lease) -> Select[Any]:
    """The partition's sealed blocks."""
    return select(stream_blocks).where(same_partition(stream_blocks, lease), stream_blocks.c.state == "sealed")


def as_sealed(row: Row[Any]) -> SealedBlock:
    """A row of ``stream_blocks`` as what was sealed."""
    return SealedBlock(row.incarnation, row.last_offset + 1, row.intended_at, row.digest)


def close_block(connection: Connection, lease: Lease, intent: Intent, values: dict[str, Any]) -> bool:
    """End an open block; says whether it was open."""
    closed = connection.execute(
        update(stream_blocks).where(same_block(lease, intent), stream_blocks.c.state == "intent").values(**values)
    )
    return closed.rowcount == 1


def check_sealed(connection: Connection, lease: Lease, intent: Intent, seal: Seal) -> None:
    """A seal that was committed before counts as done; raises ``Stop`` when it said something else."""
    found = connection.execute(select(stream_blocks).where(same_block(lease, intent))).one_or_none()
    if found is None or found.state != "sealed" or found.digest != seal.digest:
        raise Stop(f"block {intent.first_offset}..{intent.last_offset} of {lease} was sealed with other contents")


def same_partition(table: Table, lease: Lease) -> Any:
    """The condition that a row is of the lease's partition."""
    return (table.c.topic == lease.topic) & (table.c.partition == lease.partition)


def same_block(lease: Lease, intent: Intent) -> Any:
    """The condition that a row is the intent's block."""
    return (
        same_partition(stream_blocks, lease)
        & (stream_blocks.c.incarnation == intent.incarnation)
        & (stream_blocks.c.first_offset == intent.first_offset)
        & (stream_blocks.c.last_offset == intent.last_offset)
    )


def of_partition(lease: Lease) -> Any:
    """An update of the lease's partition."""
    return update(stream_partitions).where(same_partition(stream_partitions, lease))
