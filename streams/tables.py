"""The block ledger's Postgres tables: which offsets were taken, by whom, and what became of them."""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    DateTime,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB

from core.db import metadata

stream_incarnations = Table(
    "stream_incarnations",
    metadata,
    # A topic that was deleted and made anew counts its offsets from 0 again; the broker's own id tells the two apart.
    Column("topic", Text, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("topic_id", Text, nullable=False),
    Column("partitions", Integer, nullable=False),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("topic", "topic_id"),
    CheckConstraint("partitions > 0", name="partitions_positive"),
)

stream_partitions = Table(
    "stream_partitions",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("incarnation", Integer, nullable=False),
    # Who may write blocks. Each claim raises the epoch, so that an owner who woke up late is told so.
    Column("owner", Text, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("next_offset", BigInteger, nullable=False),
    # {producer: [[first, last], ...]}: envelopes already sealed, so that a journal's second delivery is known.
    Column("sealed_sequences", JSONB, nullable=False),
    # Unreadable envelopes in a row at the end of the sealed part: the limit holds across blocks and restarts.
    Column("unreadable_run", Integer, nullable=False, server_default=text("0")),
    # All that the gateway received before this instant, for this partition, is sealed.
    Column("watermark", DateTime(timezone=True), nullable=True),
    Column("updated_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
)

stream_blocks = Table(
    "stream_blocks",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("incarnation", Integer, primary_key=True, autoincrement=False),
    Column("partition", Integer, primary_key=True, autoincrement=False),
    Column("first_offset", BigInteger, primary_key=True, autoincrement=False),
    Column("last_offset", BigInteger, nullable=False),
    # What the block's rows are a function of, besides its offsets.
    Column("catalog_version", BigInteger, nullable=False),
    Column("epoch", BigInteger, nullable=False),
    Column("state", Text, nullable=False),
    # Becomes the rows' stored_at, so that a second try writes the same bytes.
    Column("intended_at", DateTime(timezone=True), nullable=False),
    Column("sealed_at", DateTime(timezone=True), nullable=True),
    # received = stored + duplicates + conflicts + held + rejected + retractions; redelivered events stand outside.
    Column("received", BigInteger, nullable=True),
    Column("stored", BigInteger, nullable=True),
    Column("duplicates", BigInteger, nullable=True),
    Column("conflicts", BigInteger, nullable=True),
    Column("held", BigInteger, nullable=True),
    Column("rejected", BigInteger, nullable=True),
    Column("retractions", BigInteger, nullable=True),
    Column("redelivered", BigInteger, nullable=True),
    Column("digest", Text, nullable=True),
    Column("watermark", DateTime(timezone=True), nullable=True),
    CheckConstraint("state in ('intent', 'sealed', 'abandoned')", name="state_known"),
    CheckConstraint("first_offset <= last_offset", name="offsets_in_order"),
    CheckConstraint(
        "state <> 'sealed' or received = stored + duplicates + conflicts + held + rejected + retractions",
        name="conserved",
    ),
    # At most one open block a partition: what a crash left behind is always unambiguous.
    Index("uq_stream_blocks_open", "topic", "partition", unique=True, postgresql_where=text("state = 'intent'")),
    Index("ix_stream_blocks_intended_at", "intended_at"),
)

# Meters that were asked to count a partition's earlier events anew, under the rules of a catalog version.
stream_fills = Table(
    "stream_fills",
    metadata,
    Column("topic", Text, primary_key=True),
    Column("incarnation", Integer, primary_key=True),
    Column("partition", Integer, primary_key=True),
    Column("first_offset", BigInteger, primary_key=True),
    Column("fill_id", Text, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("meter_id", Text, nullable=False),
    Column("starts_at", DateTime(timezone=True), nullable=False),
    Column("ends_at", DateTime(timezone=True), nullable=False),
    Column("catalog_version", BigInteger, nullable=False),
    Column("filled_at", DateTime(timezone=True), nullable=False),
    CheckConstraint("starts_at < ends_at", name="half_open"),
    Index("ix_stream_fills_meter_id", "meter_id", "partition"),
)

dead_letters = Table(
    "dead_letters",
    metadata,
    Column("dead_letter_id", Text, primary_key=True),
    Column("topic", Text, nullable=False),
    Column("incarnation", Integer, nullable=False),
    Column("partition", Integer, nullable=False),
    Column("kafka_offset", BigInteger, nullable=False),
    # The event's place in its envelope; -1 when the whole envelope could not be read.
    Column("position", Integer, nullable=False),
    Column("merchant_id", Text, nullable=False),
    Column("event_id", Text, nullable=False),
    Column("code", Text, nullable=False),
    Column("message", Text, nullable=False),
    # The event as it came (payload), or the bytes of an unreadable envelope (raw).
    Column("payload", JSONB, nullable=True),
    Column("raw", LargeBinary, nullable=True),
    Column("created_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    UniqueConstraint("topic", "incarnation", "partition", "kafka_offset", "position", name="uq_dead_letters_place"),
    Index("ix_dead_letters_merchant_id", "merchant_id", "created_at"),
)

# What somebody decided about a dead letter. A letter without a row here waits. ``sending`` is written before the event
# goes out again and ends when the door has answered for it, so that a second try sends the very same event.
dead_letter_decisions = Table(
    "dead_letter_decisions",
    metadata,
    Column("dead_letter_id", Text, ForeignKey("dead_letters.dead_letter_id"), primary_key=True),
    Column("state", Text, nullable=False),
    # Properties that were set for the event to be sent again, by name.
    Column("changes", JSONB, nullable=False),
    # Why it was discarded; empty for those sent again.
    Column("reason", Text, nullable=False),
    Column("begun_at", DateTime(timezone=True), nullable=False, server_default=func.now()),
    Column("decided_at", DateTime(timezone=True), nullable=True),
    CheckConstraint("state in ('sending', 'requeued', 'discarded')", name="state_known"),
    CheckConstraint("(state = 'sending') = (decided_at is null)", name="decided_when"),
    CheckConstraint("state <> 'discarded' or reason <> ''", name="discarded_why"),
)
