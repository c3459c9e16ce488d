"""The only door to ClickHouse: Arrow in, Arrow out, over its HTTP interface."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BufferedIOBase
from threading import Lock
from typing import TypeVar, cast
from urllib.parse import unquote, urlsplit

import clickhouse_connect
import polars as pl
import pyarrow as pa
from clickhouse_connect.driver.client import Client
from clickhouse_connect.driver.exceptions import ClickHouseError
from urllib3.exceptions import HTTPError

from clickhouse.arrow import read_arriving, read_stream, stream_bytes, to_table
from clickhouse.errors import UsageStoreError, translate
from core.errors import Transient

Answer = TypeVar("Answer")

INSERT_SETTINGS = {
    # Batches are made by us, under tokens of ours; the server must neither wait for others nor regroup them.
    "async_insert": 0,
    "insert_deduplicate": 1,
    # A backfill over years touches hundreds of monthly partitions in one block; that is meant.
    "max_partitions_per_insert_block": 0,
    # Skip indexes are made when parts are merged: filters of keys would make each block's insert a tenth slower.
    "materialize_skip_indexes_on_insert": 0,
    # Otherwise a missing value would become '' or 0, and nobody would see it.
    "input_format_null_as_default": 0,
    "input_format_arrow_allow_missing_columns": 0,
}
QUERY_SETTINGS = {"output_format_arrow_compression_method": "lz4_frame"}


@dataclass(frozen=True, slots=True)
class Address:
    """Where a ClickHouse answers, and the database that belongs to us there."""

    scheme: str
    host: str
    port: int
    user: str
    password: str
    database: str


def read_address(url: str) -> Address:
    """Read ``http://user:password@host:8123/database``; raises ``ValueError`` for anything else."""
    parts = urlsplit(url)
    database = parts.path.strip("/")
    if parts.scheme not in {"http", "https"} or not parts.hostname or not database or "/" in database:
        raise ValueError("a ClickHouse address looks like http://user:password@host:8123/database")
    port = parts.port or (8443 if parts.scheme == "https" else 8123)
    user = unquote(parts.username or "default")
    return Address(parts.scheme, parts.hostname, port, user, unquote(parts.password or ""), unquote(database))


def open_usage_store(url: str, *, connect_timeout_s: int = 5, answer_timeout_s: int = 300) -> UsageStore:
    """Open a usage store at ``http://user:password@host:8123/database``. Connects on first use only."""
    return UsageStore(read_address(url), connect_timeout_s, answer_timeout_s)


class UsageStore:
    """One database of one ClickHouse. Safe to share between threads: no session, and a pool of connections.

    Every method raises ``Transient`` when ClickHouse is out of reach, busy or full, and ``UsageStoreError`` when it
    refuses what it was asked. Values reach it as parameters only: ``{name:Type}`` in the SQL.
    """

    def __init__(self, address: Address, connect_timeout_s: int, answer_timeout_s: int) -> None:
        self._address = address
        self._connect_timeout_s = connect_timeout_s
        self._answer_timeout_s = answer_timeout_s
        self._client: Client | None = None
        self._opening = Lock()

    @property
    def database(self) -> str:
        """The name of the database that every statement runs in."""
        return self._address.database

    def insert_frame(self, table: str, frame: pl.DataFrame | pa.Table, *, token: str) -> None:
        """Insert all rows under one deduplication token; the same token again adds nothing, whatever the rows.

        Returns when the rows are stored. The frame's columns are matched by name; nulls and unknown columns are
        refused. An empty frame is no insert, and leaves its token unused.
        """
        rows = to_table(frame)
        if rows.num_rows:
            self._insert(table, rows.column_names, stream_bytes(rows), "ArrowStream", token=token)

    def insert_native(self, table: str, names: Sequence[str], rows: bytes, *, token: str) -> None:
        """``insert_frame`` for one block of rows in ClickHouse's Native format, with columns of these names."""
        self._insert(table, names, pa.compress(rows, "lz4", asbytes=True), "Native", token=token, packed="lz4")

    def query_frame(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """Run a SELECT and return its rows. Decimals stay decimals and DateTime64 comes as UTC datetimes.

        Select plain DateTime and Enum columns through ``toDateTime64`` and ``toString``: Arrow has no words for
        them and would show bare numbers.
        """
        return read_stream(self._answer(sql, parameters))

    def query_table(self, sql: str, parameters: Mapping[str, object] | None = None) -> pa.Table:
        """``query_frame`` for many rows that stay in Arrow: as they came, in many chunks.

        They are taken while they are found: a server that must know how it ends before it answers lays them by on disk.
        """
        bound = bind(sql, parameters)
        answer = self._ask(lambda client: client.raw_stream(sql, bound, QUERY_SETTINGS, fmt="ArrowStream"))
        with closing(cast(BufferedIOBase, answer)) as raw:
            try:
                return read_arriving(raw)
            except HTTPError as error:
                raise Transient(f"ClickHouse's answer broke off: {error}") from None

    def command(self, sql: str, parameters: Mapping[str, object] | None = None) -> None:
        """Run a statement that returns nothing, such as DDL."""
        bound = bind(sql, parameters)
        self._ask(lambda client: client.command(sql, bound))

    def create_database(self) -> None:
        """Create the store's database unless it is there."""
        name = quoted(self.database)
        self._ask(lambda client: client.command(f"CREATE DATABASE IF NOT EXISTS {name}", use_database=False))

    def drop_database(self) -> None:
        """Delete the store's database with everything in it."""
        name = quoted(self.database)
        self._ask(lambda client: client.command(f"DROP DATABASE IF EXISTS {name} SYNC", use_database=False))

    def close(self) -> None:
        """Give the connections back. The store may be used again afterwards; it then connects anew."""
        with self._opening:
            if self._client is not None:
                self._client.close()
            self._client = None

    def _answer(self, sql: str, parameters: Mapping[str, object] | None) -> bytes:
        bound = bind(sql, parameters)
        return self._ask(lambda client: client.raw_query(sql, bound, QUERY_SETTINGS, fmt="ArrowStream"))

    def _insert(
        self, table: str, names: Sequence[str], body: bytes, body_format: str, *, token: str, packed: str | None = None
    ) -> None:
        assert token, "an insert without a token could double its rows when it is repeated"
        settings = INSERT_SETTINGS | {"insert_deduplication_token": token}
        self._ask(lambda client: client.raw_insert(table, names, body, settings, body_format, packed))

    def _ask(self, call: Callable[[Client], Answer]) -> Answer:
        try:
            return call(self._connected())
        except ClickHouseError as error:
            raise translate(error) from None

    def _connected(self) -> Client:
        with self._opening:
            if self._client is None:
                self._client = connect(self._address, self._connect_timeout_s, self._answer_timeout_s)
            return self._client


def connect(address: Address, connect_timeout_s: int, answer_timeout_s: int) -> Client:
    """Open a driver's client with a pool of its own and no session, so that threads may share it."""
    client = clickhouse_connect.get_client(
        interface=address.scheme,
        host=address.host,
        port=address.port,
        username=address.user,
        password=address.password,
        connect_timeout=connect_timeout_s,
        send_receive_timeout=answer_timeout_s,
        autogenerate_session_id=False,
        dedicated_pool=True,
        client_name="millrace",
    )
    # Set afterwards: the driver's greeting would fail on a database that is still to be created.
    client.database = address.database
    return client


def bind(sql: str, parameters: Mapping[str, object] | None) -> dict[str, object] | None:
    """Check that every parameter is bound by the server, and write instants with their microseconds, in UTC."""
    if not parameters:
        return None
    unbound = [name for name in parameters if f"{{{name}:" not in sql]
    assert not unbound, f"parameters that the SQL does not name as {{name:Type}}: {unbound}"
    return {name: as_parameter(value) for name, value in parameters.items()}


def as_parameter(value: object) -> object:
    """The value as the driver should send it; the driver alone would cut an instant to whole seconds."""
    if isinstance(value, datetime):
        assert value.tzinfo is not None, "an instant without a zone could mean anything"
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")
    if isinstance(value, tuple | list | set | frozenset):
        return [as_parameter(item) for item in value]
    return value


def quoted(identifier: str) -> str:
    """An identifier between backticks; raises ``UsageStoreError`` for one that could end them."""
    if not identifier or "`" in identifier or "\\" in identifier:
        raise UsageStoreError(0, "BAD_NAME", f"{identifier!r} cannot name a database")
    return f"`{identifier}`"
