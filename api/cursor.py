"""Cursors: a place in a listing that stays where it is while new events arrive."""

from __future__ import annotations

import base64
import binascii
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256

import orjson

from core.errors import Refused

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(2200, 1, 1, tzinfo=UTC)
VERSION = 1
LENGTH_MAX = 400


@dataclass(frozen=True, slots=True)
class Cursor:
    """What a listing that began at ``until`` has shown: everything down to this event, the newest first."""

    until: datetime
    stored_at: datetime
    incarnation: int
    partition: int
    offset: int
    position: int


def write_cursor(cursor: Cursor, question: str) -> str:
    """The cursor as text for the same question's next page. It holds no secret and grants nothing."""
    fields = [
        VERSION,
        fingerprint(question),
        micros(cursor.until),
        micros(cursor.stored_at),
        cursor.incarnation,
        cursor.partition,
        cursor.offset,
        cursor.position,
    ]
    return base64.urlsafe_b64encode(orjson.dumps(fields)).decode().rstrip("=")


def read_cursor(text: str, question: str) -> Cursor:
    """Read a cursor back; raises ``Refused`` when it is none, or belongs to another question."""
    wrong = Refused("cursor_invalid", "this cursor was not made by this listing: begin again without one")
    if len(text) > LENGTH_MAX:
        raise wrong
    try:
        fields = orjson.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
    except (binascii.Error, ValueError) as error:
        raise wrong from error
    whole = isinstance(fields, list) and len(fields) == 8 and all(type(field) is int for field in fields[2:])
    if not whole or fields[:2] != [VERSION, fingerprint(question)]:
        raise wrong
    if not all(0 <= field < 2**62 for field in fields[2:4]) or not all(0 <= field < 2**32 for field in fields[4:6]):
        raise wrong
    if not 0 <= fields[6] < 2**63 or not 0 <= fields[7] < 2**32 or max(fields[2:4]) > micros(LATEST):
        raise wrong
    return Cursor(instant_of(fields[2]), instant_of(fields[3]), *fields[4:])


def fingerprint(question: str) -> str:
    """A short digest of what was asked, so that a cursor is not taken to another question."""
    return sha256(question.encode()).hexdigest()[:16]


def micros(moment: datetime) -> int:
    """Microseconds from 1970."""
    return (moment - EPOCH) // timedelta(microseconds=1)


def instant_of(us: int) -> datetime:
    """The instant so many microseconds from 1970."""
    return EPOCH + timedelta(microseconds=us)
