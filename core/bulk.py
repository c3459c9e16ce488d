"""Many rows into Postgres with COPY, without a Python object for each."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from io import BytesIO
from typing import Final

import polars as pl
from psycopg import Connection as DriverConnection
from psycopg import OperationalError, sql
from psycopg.errors import UniqueViolation
from sqlalchemy import Connection, Table

from core.errors import Conflict, Transient

# Large enough that the protocol costs nothing, small enough that the text of a million rows is never held at once.
ROWS_PER_PART: Final = 25_000
# No text of ours has it, so that what is full of quotation marks, as JSON is, is not written and read with twice as
# many. Where one has it all the same it is doubled, as the format wants.
QUOTE: Final = "\x01"


def copy_rows(connection: Connection, table: Table, frame: pl.DataFrame, **columns: pl.Expr) -> None:
    """Add the rows of ``frame`` to ``table``, in the caller's transaction; columns are matched by name.

    ``columns`` are worked out part by part and take the place of those of the frame. While Postgres reads one part the
    next is written. Decimals are written with all their digits, instants with their microseconds and zone. Raises
    ``Conflict`` when a row's key exists, and ``Transient`` when Postgres goes away; the transaction is lost either way.
    """
    missing = [name for name in frame.columns if name not in table.columns]
    assert not missing, f"{table.name} has no columns {missing}"
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection), "rows are copied through psycopg"
    statement = sql.SQL("COPY {table} ({columns}) FROM STDIN (FORMAT csv, QUOTE {quote})").format(
        table=sql.Identifier(table.name),
        columns=sql.SQL(", ").join(map(sql.Identifier, frame.columns)),
        quote=sql.Literal(QUOTE),
    )
    try:
        with driver.cursor() as cursor, cursor.copy(statement) as copy:
            for text in csv_texts(frame, columns):
                copy.write(text)
    except OperationalError as error:
        raise Transient(f"Postgres went away during a copy: {error}") from error
    except UniqueViolation as error:
        raise Conflict("row_exists", f"{table.name} holds this already: {error.diag.message_detail}") from error


def csv_texts(frame: pl.DataFrame, columns: dict[str, pl.Expr]) -> Iterator[bytes]:
    """The parts of a frame as ``csv_text``, of which one is made ahead."""
    with ThreadPoolExecutor(1) as ahead:
        waiting = None
        for part in frame.iter_slices(ROWS_PER_PART):
            following = ahead.submit(csv_text, part, columns)
            if waiting is not None:
                yield waiting.result()
            waiting = following
        if waiting is not None:
            yield waiting.result()


def csv_text(frame: pl.DataFrame, columns: dict[str, pl.Expr]) -> bytes:
    """Rows as COPY reads them: an empty text is quoted, a null is not."""
    body = BytesIO()
    frame.with_columns(**columns).write_csv(
        body,
        include_header=False,
        quote_char=QUOTE,
        quote_style="non_numeric",
        null_value="",
        datetime_format="%Y-%m-%d %H:%M:%S%.6f+00",
    )
    return body.getvalue()
