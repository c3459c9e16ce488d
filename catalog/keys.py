"""API keys: made from randomness, shown once, kept as a hash."""

from __future__ import annotations

import hashlib
import re
import secrets
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, func, insert, select, update

from catalog.merchants import find_merchant
from catalog.tables import api_keys, merchants
from core.errors import Refused
from core.ids import KeyId, MerchantId, new_id

PREFIX = "bb_"
RANDOM_BYTES = 32
SHOWN_CHARACTERS = len(PREFIX) + 6
KEY_SHAPE = re.compile(PREFIX + r"[A-Za-z0-9_-]{43}", re.ASCII)
NAME_CHARACTERS_MAX = 200


@dataclass(frozen=True, slots=True)
class NewKey:
    """A key at the only moment at which its text is known."""

    key_id: KeyId
    merchant_id: MerchantId
    name: str
    prefix: str
    # Left out of the repr, so that a traceback or a log of this value gives nothing away.
    key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class KeyOwner:
    """Whom a valid key speaks for."""

    key_id: KeyId
    merchant_id: MerchantId
    scope: str


@dataclass(frozen=True, slots=True)
class StoredKey:
    """What may be told about a key afterwards."""

    key_id: KeyId
    merchant: str
    name: str
    prefix: str
    scope: str
    created_at: datetime
    revoked_at: datetime | None


def create_key(connection: Connection, merchant_code: str, name: str = "") -> NewKey:
    """Make a key for the merchant; raises ``Refused`` with ``merchant_unknown`` or ``name_too_long``."""
    if len(name) > NAME_CHARACTERS_MAX:
        raise Refused("name_too_long", f"a key's name has at most {NAME_CHARACTERS_MAX} characters")
    merchant_id = find_merchant(connection, merchant_code)
    text = PREFIX + secrets.token_urlsafe(RANDOM_BYTES)
    made = NewKey(KeyId(new_id("key")), merchant_id, name, text[:SHOWN_CHARACTERS], text)
    connection.execute(
        insert(api_keys).values(
            key_id=made.key_id,
            merchant_id=merchant_id,
            prefix=made.prefix,
            secret_sha256=digest(text),
            name=name,
            scope="merchant",
        )
    )
    return made


def find_key(connection: Connection, key: str) -> KeyOwner | None:
    """Whom ``key`` speaks for; ``None`` when it is malformed, unknown or revoked.

    The look-up is by hash, so its time tells nothing about how much of a guess was right.
    """
    if not KEY_SHAPE.fullmatch(key):
        return None
    statement = select(api_keys.c.key_id, api_keys.c.merchant_id, api_keys.c.scope).where(
        api_keys.c.secret_sha256 == digest(key), api_keys.c.revoked_at.is_(None)
    )
    row = connection.execute(statement).one_or_none()
    return None if row is None else KeyOwner(KeyId(row.key_id), MerchantId(row.merchant_id), row.scope)


def revoke_key(connection: Connection, key_id: str) -> None:
    """End a key for good; ending it twice changes nothing. Raises ``Refused`` with ``key_unknown``."""
    statement = (
        update(api_keys)
        .where(api_keys.c.key_id == key_id)
        .values(revoked_at=func.coalesce(api_keys.c.revoked_at, func.clock_timestamp()))
    )
    if connection.execute(statement).rowcount == 0:
        raise Refused("key_unknown", f"there is no key {key_id!r}; 'millrace keys list' shows all", status=404)


def list_keys(connection: Connection, merchant_code: str | None = None) -> tuple[StoredKey, ...]:
    """All keys, or one merchant's, oldest first, the revoked ones too."""
    statement = (
        select(
            api_keys.c.key_id,
            merchants.c.code,
            api_keys.c.name,
            api_keys.c.prefix,
            api_keys.c.scope,
            api_keys.c.created_at,
            api_keys.c.revoked_at,
        )
        .join(merchants, merchants.c.merchant_id == api_keys.c.merchant_id)
        .order_by(api_keys.c.created_at, api_keys.c.key_id)
    )
    if merchant_code is not None:
        statement = statement.where(api_keys.c.merchant_id == find_merchant(connection, merchant_code))
    return tuple(StoredKey(*row) for row in connection.execute(statement))


def digest(key: str) -> bytes:
    """SHA-256 of the key. No salt or stretching is needed: 256 random bits cannot be guessed from it."""
    return hashlib.sha256(key.encode()).digest()
