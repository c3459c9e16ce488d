"""Many rows out of Postgres into a frame, without a Python object for each."""

from __future__ import annotations

from collections.abc import Mapping
from io import BytesIO
from typing import LiteralString

import polars as pl
from psycopg import Connection as DriverConnection
from sqlalchemy import Connection

from core.frames import Schema


def read_frame(
    connection: Connection, query: LiteralString, values: Mapping[str, object], schema: Schema
) -> pl.DataFrame:
    """Run ``query`` (psycopg's ``%(name)s`` for values) and return its columns, in order, under ``schema``.

    Columns are texts or whole numbers. Texts must not hold line ends: the catalog refuses such keys.
    """
    driver = connection.connection.driver_connection
    assert isinstance(driver, DriverConnection), "frames are read through psycopg"
    body = BytesIO()
    with driver.cursor() as cursor, cursor.copy(f"COPY ({query}) TO STDOUT (FORMAT csv)", values) as copy:
        for part in copy:
            body.write(part)
    if body.tell() == 0:
        return pl.DataFrame(schema=schema)
    body.seek(0)
    return pl.read_csv(body, has_header=False, new_columns=list(schema), schema=schema)
