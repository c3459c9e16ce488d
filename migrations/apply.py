"""Bring a Postgres database to a schema revision, from code, from a checkout or an installed wheel alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from core.db import open_engine, transaction

# Any number serves, as long as nothing else locks it: the bytes of "millrace".
ADVISORY_LOCK = int.from_bytes(b"millrace", "big")
WAIT_FOR_OTHERS_MS = 60_000
TABLE_LOCK_WAIT_MS = 5_000


def upgrade(engine_or_url: Engine | str, revision: str = "head") -> None:
    """Move the schema forward to ``revision``; all in one transaction, and nothing if it is there already.

    Two processes may call this together: the second waits for the first. Raises ``Transient`` when Postgres is
    out of reach or a table stays locked by others, with nothing changed.
    """
    with engine_of(engine_or_url) as engine, transaction(engine) as connection:
        lock_schema(connection)
        command.upgrade(configuration(connection), revision)


def downgrade(engine_or_url: Engine | str, revision: str) -> None:
    """Move the schema back to ``revision`` (``base``: before the first); the same promises as ``upgrade``."""
    with engine_of(engine_or_url) as engine, transaction(engine) as connection:
        lock_schema(connection)
        command.downgrade(configuration(connection), revision)


def current_revision(engine_or_url: Engine | str) -> str | None:
    """The revision that the database is at; ``None`` before the first."""
    with engine_of(engine_or_url) as engine, transaction(engine) as connection:
        return MigrationContext.configure(connection).get_current_revision()


def latest_revision() -> str:
    """The newest revision that this release carries."""
    head = ScriptDirectory.from_config(configuration(None)).get_current_head()
    assert head is not None, "a release carries at least one revision"
    return head


@contextmanager
def engine_of(engine_or_url: Engine | str) -> Iterator[Engine]:
    """The engine itself, or one for the URL that lives as long as the block."""
    if isinstance(engine_or_url, Engine):
        yield engine_or_url
        return
    engine = open_engine(engine_or_url, pool_size=1)
    try:
        yield engine
    finally:
        engine.dispose()


def lock_schema(connection: Connection) -> None:
    """Wait in line for the schema, then be impatient with tables: a queued DDL lock stops every reader behind it."""
    set_lock_timeout(connection, WAIT_FOR_OTHERS_MS)
    connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": ADVISORY_LOCK})
    set_lock_timeout(connection, TABLE_LOCK_WAIT_MS)


def set_lock_timeout(connection: Connection, wait_ms: int) -> None:
    """Bound the wait for any lock until the transaction ends."""
    connection.execute(text("SELECT set_config('lock_timeout', :wait, true)"), {"wait": f"{wait_ms}ms"})


def configuration(connection: Connection | None) -> Config:
    """Alembic's settings without a file: the scripts lie beside this module, the connection is the caller's."""
    config = Config(attributes={"connection": connection})
    # The setting is read with interpolation, in which a percent sign has a meaning.
    folder = str(Path(__file__).parent).replace("%", "%%")
    config.set_main_option("script_location", folder)
    config.set_main_option("path_separator", "os")
    return config
