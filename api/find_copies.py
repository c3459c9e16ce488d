"""Every copy of an event that was ever accepted, with its fate and where it lies."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

import polars as pl
from sqlalchemy import Connection, text

from clickhouse.client import UsageStore
from core.errors import Conflict, Refused
from core.limits import EVENT_ID_BYTES_MAX

COPIES_MAX = 1_000
# Without corrections, the copy that an event's fate follows from: a later one only says that it is a repeat.
RANK = {"stored": 0, "held": 1, "rejected": 2, "conflict": 3, "duplicate": 4, "retraction": 5}
TOOK_EFFECT = ("stored", "retraction")

EVENT_COLUMNS = """
    event_id, toString(source) AS source, toString(type) AS type, subject, customer_id, occurred_at, received_at,
    stored_at, properties, toString(fate) AS fate, toString(reason) AS reason, key, body_hash,
    toString(action) AS action, correction_id,
    toInt64(incarnation) AS incarnation, toInt64(partition) AS partition, toInt64(block_first) AS block_first,
    toInt64(kafka_offset) AS kafka_offset, toInt64(position) AS position
"""
# However many repeats there are, the rows that an event's fate follows from are among those that are read.
COPIES = f"""
    SELECT {EVENT_COLUMNS} FROM usage_events AS e
    WHERE e.merchant_id = {{merchant_id:String}} AND e.event_id = {{event_id:String}}
        AND ({{any_source:Bool}} OR e.source = {{source:String}})
    ORDER BY e.fate IN ('duplicate', 'conflict'), stored_at, incarnation, partition, kafka_offset, position
    LIMIT {COPIES_MAX}
"""
OWNERS = "SELECT DISTINCT toString(merchant_id) AS merchant_id FROM usage_events WHERE event_id = {event_id:String}"
BLOCK = text("""
    SELECT last_offset, state, intended_at, sealed_at, catalog_version, digest FROM stream_blocks
    WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition AND first_offset = :first
""")
LETTER = text("""
    SELECT dead_letter_id, message FROM dead_letters
    WHERE topic = :topic AND incarnation = :incarnation AND partition = :partition
        AND kafka_offset = :offset AND position = :position AND merchant_id = :merchant_id
""")


@dataclass(frozen=True, slots=True)
class Place:
    """Where a copy lies in the log."""

    incarnation: int
    partition: int
    offset: int
    position: int


@dataclass(frozen=True, slots=True)
class BlockOf:
    """The block that a copy came in: offsets ``first`` to ``last``, sealed when ``sealed_at`` is there."""

    first: int
    last: int | None
    state: str
    sealed_at: datetime | None
    catalog_version: int | None
    digest: str | None


@dataclass(frozen=True, slots=True)
class Copy:
    """One accepted copy, or a correction of it. ``action`` is event, retract, amend, release or backfill.

    ``fate`` is the store's own word: stored, duplicate, conflict, held, rejected or retraction. ``correction_id`` is
    whose correction it is, empty for events.
    """

    event_id: str
    source: str
    type: str
    subject: str
    customer_id: str
    occurred_at: datetime
    received_at: datetime
    stored_at: datetime
    properties: dict[str, str]
    fate: str
    reason: str
    action: str
    correction_id: str
    detail: str | None
    key: bytes
    body_hash: int
    place: Place
    block: BlockOf

    @property
    def corrects(self) -> bool:
        """Whether it is a correction that took effect."""
        return self.action != "event" and self.fate in TOOK_EFFECT


def find_copies(
    connection: Connection, store: UsageStore, topic: str, *, merchant_id: str, event_id: str, source: str | None
) -> list[Copy]:
    """All copies of one merchant's event, oldest first; without a source, of whichever source has it.

    Raises ``Refused`` 404 when there is none, and ``Conflict`` when several sources have an event of this id.
    """
    found = pl.DataFrame()
    if len(event_id.encode()) <= EVENT_ID_BYTES_MAX:
        bound = {
            "merchant_id": merchant_id,
            "event_id": event_id,
            "any_source": source is None,
            "source": source or "",
        }
        found = store.query_frame(COPIES, bound)
    if found.is_empty():
        raise Refused("event_unknown", "no event of this id was stored", status=404)
    sources = found["source"].unique().sort().to_list()
    if len(sources) > 1:
        named = ", ".join(map(repr, sources[:10]))
        raise Conflict("source_needed", f"{len(sources)} sources have an event of this id: name one of {named}")
    copies = [as_copy(connection, topic, merchant_id, row) for row in found.iter_rows(named=True)]
    return sorted(copies, key=in_order)


def owners_of(store: UsageStore, event_id: str) -> list[str]:
    """The ids of all merchants that have an event of this id; for operators only."""
    return sorted(store.query_frame(OWNERS, {"event_id": event_id})["merchant_id"].to_list())


def in_order(copy: Copy) -> tuple[datetime, int, int, int, int]:
    """Where a copy stands among all: by time, then by its place in the log."""
    place = copy.place
    return copy.stored_at, place.incarnation, place.partition, place.offset, place.position


def principal(copies: list[Copy]) -> Copy:
    """The copy that says what became of the event: of ``copies``, oldest first, those that were corrected follow the
    last correction that took effect. Without one it is the copy that counts, else the one that may still count.
    """
    corrections = [copy for copy in copies if copy.corrects]
    if corrections:
        return corrections[-1]
    return min(copies, key=lambda copy: (RANK[copy.fate], copy.stored_at))


def taken_back(copies: list[Copy], retraction: Copy) -> Copy | None:
    """The copy that had counted until a retraction; None when none did, such as for a held event."""
    before = copies[: copies.index(retraction)]
    was = principal(before) if before else None
    return was if was is not None and was.fate == "stored" else None


def as_copy(connection: Connection, topic: str, merchant_id: str, row: dict[str, object]) -> Copy:
    """A stored row with its block, and for a rejected one what its dead letter says."""
    place = {
        "topic": topic,
        "incarnation": row["incarnation"],
        "partition": row["partition"],
        "first": row["block_first"],
        "offset": row["kafka_offset"],
        "position": row["position"],
        "merchant_id": merchant_id,
    }
    block = connection.execute(BLOCK, place).one_or_none()
    letter = connection.execute(LETTER, place).one_or_none() if row["fate"] == "rejected" else None
    named = {name: row[name] for name in Copy.__slots__ if name in row}
    named["properties"] = as_texts(row["properties"])
    first = int(str(row["block_first"]))
    return Copy(
        **named,  # type: ignore[arg-type] # the columns have the types that the question gives them
        detail=None if letter is None else str(letter.message),
        place=Place(*(int(str(row[name])) for name in ("incarnation", "partition", "kafka_offset", "position"))),
        block=BlockOf(first, None, "unknown", None, None, None)
        if block is None
        else BlockOf(first, block.last_offset, block.state, block.sealed_at, block.catalog_version, block.digest),
    )


def as_texts(properties: object) -> dict[str, str]:
    """Properties as a plain object, however the frame holds its map."""
    if isinstance(properties, dict):
        return {str(name): str(value) for name, value in properties.items()}
    assert isinstance(properties, list), "a map comes as an object or as a list of pairs"
    pairs = [tuple(pair.values()) if isinstance(pair, dict) else tuple(pair) for pair in properties]
    return {str(name): str(value) for name, value in pairs}
