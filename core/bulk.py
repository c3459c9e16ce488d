"""Many rows into Postgres with COPY, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Final

import polars as pl
from psycopg import Connection as DriverConnection
from psycopg import OperationalError, sql
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Table

from core.binary_rows import BEGIN, END, binary_rows
from core.errors import Conflict, Transient

# Large enough that the protocol costs nothing, small enough that the bytes of a million rows are never held at once.
ROWS_PER_PART: Final = 25_000


def copy_rows(connection: Connection, table: Table, frame: pl.DataFrame, **columns: pl.Expr) -> None:
    """Add the rows of ``frame`` to ``table``, in the caller's transaction; columns are matched by name.

    ``columns`` are worked out part by part and take the place of those of the frame. While Postgres reads one part the
    next is written. Decimals are written with all their digits, instants with their microseconds. Raises ``Conflict``
    when a row's key exists, and ``Transient`` when Postgres goes away; the transaction is lost either way.
    """
    missing = [name for name in frame.columns if name not in table.columns]
    assert not missing, f"{table.name} has no columns {missing}"
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection), "rows are copied through psycopg"
    statement = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT binary)").format(
        table=sql.Identifier(table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
    )
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            copy.write(BEGIN)
            for part in parts_of(table, frame, columns):
                copy.write(part)
            copy.write(END)
    except OperationalError as error:
        raise Transient(f"Postgres went away during a copy: {error}") from error
    except UniqueViolation as error:
        raise Conflict("row_exists", f"{table.name} holds this already: {error.diag.message_detail}") from error


def parts_of(table: Table, frame: pl.DataFrame, columns: dict[str, pl.Expr]) -> Iterator[memoryview]:
    """The parts of a frame as ``binary_rows``, of which one is made ahead."""
    into = [table.columns[name] for name in frame.columns]
    with ThreadPoolExecutor(1) as ahead:
        waiting = None
        for part in frame.iter_slices(ROWS_PER_PART):
            following = ahead.submit(lambda some: binary_rows(some.with_columns(**columns), into), part)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()
