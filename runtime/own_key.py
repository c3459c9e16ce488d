"""A key for as long as one command needs the public door: made for it, and ended after it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta

from sqlalchemy import Engine

from catalog.keys import create_key, list_keys, revoke_key
from core.clock import Clock
from core.db import transaction

KEY_OLD = timedelta(hours=1)


# The gateway takes its merchant from the key and not from the body: only a key of the merchant itself is right.
@contextmanager
def own_key(books: Engine, merchant: str, clock: Clock, name: str) -> Iterator[str]:
    """A key of the merchant (by code) for the length of a block. One that a killed process left is ended by the next.

    ``name`` says what it is for, and is how those that were left behind are known.
    """
    with transaction(books) as connection:
        for key in list_keys(connection, merchant):
            left_behind = key.name == name and key.revoked_at is None
            if left_behind and clock.now() - key.created_at > KEY_OLD:
                revoke_key(connection, key.key_id)
        made = create_key(connection, merchant, name)
    try:
        yield made.key
    finally:
        with transaction(books) as connection:
            revoke_key(connection, made.key_id)
