"""Postgres: one metadata, one way to open an engine, one place that commits."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import orjson
import psycopg
from sqlalchemy import Connection, Engine, MetaData, create_engine
from sqlalchemy.exc import DBAPIError, OperationalError

from core.errors import Transient

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)


# A server that went without a word, its machine or the network, is given up after about half a minute.
SILENCE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 4, "tcp_user_timeout": 30_000}


def open_engine(url: str, *, pool_size: int = 5, connect_timeout_s: int = 5) -> Engine:
    """Open a pool on Postgres; ``url`` begins with ``postgresql://``. Connects on first use only."""
    driver_url = url.replace("postgresql://", "postgresql+psycopg://", 1)
    return create_engine(
        driver_url,
        pool_size=pool_size,
        pool_pre_ping=True,
        connect_args={"connect_timeout": connect_timeout_s, "options": "-c timezone=UTC", **SILENCE},
        json_serializer=lambda value: orjson.dumps(value).decode(),
        json_deserializer=orjson.loads,
    )


@contextmanager
def transaction(engine: Engine) -> Iterator[Connection]:
    """Run a block in one transaction: committed at its end, rolled back on any error.

    Raises ``Transient`` when Postgres is out of reach, so that callers can retry.
    """
    try:
        with engine.begin() as connection:
            yield connection
    except OperationalError as error:
        raise Transient(f"Postgres did not answer: {error.orig}") from error
    except psycopg.OperationalError as error:
        # COPY goes past SQLAlchemy to the driver, whose errors then come unwrapped.
        raise Transient(f"Postgres did not answer: {error}") from error
    except DBAPIError as error:
        if error.connection_invalidated:
            raise Transient(f"Postgres closed the connection: {error.orig}") from error
        raise
