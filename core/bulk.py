"""Many rows into Postgres with COPY, without a Python object for each."""

from __future__ import annotations

import polars as pl
from psycopg import Connection as DriverConnection
from psycopg import OperationalError, sql
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Table

from core.errors import Conflict, Transient

# Large enough that the protocol costs nothing, small enough that the text of a million rows is never held at once.
ROWS_PER_PART = 50_000


def copy_rows(connection: Connection, table: Table, frame: pl.DataFrame) -> None:
    """Add the rows of ``frame`` to ``table``, in the caller's transaction; columns are matched by name.

    Decimals are written with all their digits, instants with their microseconds and zone. Raises ``Conflict`` when a
    row's key exists, and ``Transient`` when Postgres goes away; the transaction is lost either way.
    """
    missing = [name for name in frame.columns if name not in table.columns]
    assert not missing, f"{table.name} has no columns {missing}"
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection), "rows are copied through psycopg"
    statement = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT csv)").format(
        table=sql.Identifier(table.name), columns=sql.SQL(", ").join(map(sql.Identifier, frame.columns))
    )
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for part in frame.iter_slices(ROWS_PER_PART):
                copy.write(csv_text(part))
    except OperationalError as error:
        raise Transient(f"Postgres went away during a copy: {error}") from error
    except UniqueViolation as error:
        raise Conflict("row_exists", f"{table.name} holds this already: {error.diag.message_detail}") from error


def csv_text(frame: pl.DataFrame) -> str:
    """Rows as COPY reads them: an empty text is quoted, a null is not."""
    return frame.write_csv(
        include_header=False, quote_style="non_numeric", null_value="", datetime_format="%Y-%m-%d %H:%M:%S%.6f+00"
    )
