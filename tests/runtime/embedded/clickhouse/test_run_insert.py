"""Inserts through the front store what was sent, once, or nothing."""

from __future__ import annotations

import gzip
import io
import json
import socket
from collections.abc import Callable, Iterator
from importlib import import_module

import pyarrow as pa
import pytest
import zstandard

from tests.runtime.embedded.clickhouse.conftest import Server

ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "zstd": zstandard.compress,
    "lz4": import_module("lz4.frame").compress,
}


def arrow_stream(rows: int) -> bytes:
    """An Arrow IPC stream of ``n`` and ``s``."""
    table = pa.table({"n": pa.array(range(rows), pa.uint64()), "s": pa.array([f"text {n}" for n in range(rows)])})
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue()


@pytest.fixture
def table(server: Server) -> Server:
    """A server whose table ``t`` knows the tokens of its last inserts."""
    server.ask(
        "CREATE TABLE t (n UInt64, s String DEFAULT concat('d', toString(n))) ENGINE = MergeTree ORDER BY n"
        " SETTINGS non_replicated_deduplication_window = 100"
    )
    return server


def count(server: Server) -> int:
    """Rows of the table."""
    return int(server.ask("SELECT count() FROM t"))


@pytest.mark.parametrize(
    "output_format", ["CSV", "TSV", "JSONEachRow", "Native", "RowBinary", "Parquet", "ArrowStream", "Arrow", "Values"]
)
def test_what_was_read_can_be_inserted(table: Server, output_format: str) -> None:
    """Every format goes out and comes in with the same rows."""
    query = f"SELECT number AS n, concat('é ', toString(number)) AS s FROM numbers(1000) FORMAT {output_format}"
    data = table.send(query).content
    reply = table.insert(f"INSERT INTO t FORMAT {output_format}", data)

    assert reply.status_code == 200, reply.text
    assert json.loads(reply.headers["x-clickhouse-summary"])["written_rows"] == "1000"
    assert table.ask("SELECT sum(n), any(s) FROM (SELECT * FROM t ORDER BY n)") == "499500\té 0\n"


@pytest.mark.parametrize("encoding", ENCODERS)
def test_compressed_bodies_are_unpacked(table: Server, encoding: str) -> None:
    """With the statement in the address, and with all of it in the body."""
    packed = ENCODERS[encoding](arrow_stream(5000))
    headers = {"Content-Encoding": encoding}
    assert table.insert("INSERT INTO t FORMAT ArrowStream", packed, headers).status_code == 200
    whole = ENCODERS[encoding](b"INSERT INTO t (n) FORMAT CSV\n1\n2\n")
    assert table.http.post(table.dsn_query, content=whole, headers=headers).status_code == 200

    assert count(table) == 5002
    assert table.insert("INSERT INTO t FORMAT ArrowStream", packed[:-20], headers).status_code >= 400
    assert count(table) == 5002


def test_the_same_token_stores_once(table: Server) -> None:
    """A block that is done again after a crash leaves one copy, whatever else was inserted in between."""
    data = arrow_stream(1000)
    for token in ("a", "b", "a", "a"):
        reply = table.insert("INSERT INTO t FORMAT ArrowStream", data, insert_deduplication_token=token)
        assert reply.status_code == 200

    assert count(table) == 2000
    again = table.insert("INSERT INTO t FORMAT ArrowStream", data, session_id="tokens", insert_deduplication_token="b")
    assert again.status_code == 200
    clause = "INSERT INTO t SETTINGS insert_deduplication_token = 'a' FORMAT ArrowStream"
    assert table.insert(clause, data).status_code == 200
    assert count(table) == 2000


def test_columns_that_are_left_out_get_their_defaults(table: Server) -> None:
    """As a server fills them in, for lists of columns and for missing fields."""
    table.insert("INSERT INTO t (n) FORMAT CSV", b"1\n")
    table.insert("INSERT INTO t FORMAT JSONEachRow", b'{"n": 2}\n{"n": 3, "s": "x"}\n')
    table.insert("INSERT INTO t (n, s) VALUES", b"(5, DEFAULT), (2 + 2, upper('y'));")

    assert table.ask("SELECT n, s FROM t ORDER BY n") == "1\td1\n2\td2\n3\tx\n4\tY\n5\td5\n"


@pytest.mark.parametrize(
    ("sql", "data", "status"),
    [
        ("INSERT INTO t (n) FORMAT CSV", b"1\n2\nx\n", 400),
        ("INSERT INTO nowhere FORMAT CSV", b"1\n", 404),
        ("INSERT INTO t FORMAT Nope", b"1\n", 404),
        ("INSERT INTO t (nope) FORMAT CSV", b"1\n", 500),
        ("INSERT INTO t FORMAT ArrowStream", b"not arrow", 400),
        ("INSERT INTO t FORMAT Native", b"\x01\x02", 500),
    ],
)
def test_a_refused_insert_stores_nothing(table: Server, sql: str, data: bytes, status: int) -> None:
    """Good rows before the bad one are not kept either."""
    reply = table.insert(sql, data)

    assert reply.status_code == status, reply.text
    assert count(table) == 0


@pytest.mark.parametrize(
    ("columns", "settings", "name"),
    [
        (", CONSTRAINT small CHECK n < 5", "", "VIOLATED_CONSTRAINT"),
        ("", "SETTINGS parts_to_throw_insert = 1, parts_to_delay_insert = 1", "TOO_MANY_PARTS"),
        ("", "PARTITION BY n", "TOO_MANY_PARTS"),
    ],
)
def test_what_the_table_refuses_is_an_error(server: Server, columns: str, settings: str, name: str) -> None:
    """Not only what the data get wrong: an insert that was not stored is never answered as if it were."""
    partition, settings = (settings, "") if settings.startswith("PARTITION") else ("", settings)
    server.ask(f"CREATE TABLE r (n UInt64{columns}) ENGINE = MergeTree {partition} ORDER BY n {settings}")
    server.insert("INSERT INTO r FORMAT CSV", b"1\n").raise_for_status()
    for data in (arrow_stream(1_000), arrow_stream(200_000)):
        reply = server.insert("INSERT INTO r (n) FORMAT ArrowStream", data, input_format_skip_unknown_fields="1")
        assert reply.status_code == 500, reply.text
        assert f"({name})" in reply.text

    assert server.ask("SELECT count() FROM r") == "1\n"


def test_a_body_in_many_pieces_is_one_insert(table: Server) -> None:
    """Chunked bodies larger than a batch stream through without being held as a whole."""

    def pieces() -> Iterator[bytes]:
        for start in range(0, 6_000_000, 20_000):
            yield b"".join(b"%d,abc\n" % n for n in range(start, start + 20_000))

    reply = table.http.post(
        table.dsn_query, content=pieces(), params={"query": "INSERT INTO t FORMAT CSV", "database": table.database}
    )

    assert reply.status_code == 200, reply.text
    assert count(table) == 6_000_000


def test_a_client_that_dies_in_the_middle_stores_nothing(table: Server) -> None:
    """The end of a connection is not the end of the data."""
    port = int(table.url.rsplit(":", 1)[1])
    head = (
        f"POST /?database={table.database}&query=INSERT%20INTO%20t%20(n)%20FORMAT%20CSV HTTP/1.1\r\nHost: localhost\r\n"
    )
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(f"{head}Content-Length: 1000000\r\n\r\n".encode() + b"1\n" * 1000)

    assert table.ask("SELECT sleep(0.2)") == "0\n"
    assert count(table) == 0


def test_inserts_from_queries_and_into_functions_work(table: Server) -> None:
    """INSERT SELECT is a statement like any other."""
    reply = table.send("INSERT INTO t (n) SELECT number FROM numbers(30)")
    assert json.loads(reply.headers["x-clickhouse-summary"])["written_rows"] == "30"
    assert table.insert("INSERT INTO FUNCTION null('a UInt8') FORMAT CSV", b"1\n").status_code == 200
    assert count(table) == 30


def test_a_table_can_be_named_by_a_parameter(table: Server) -> None:
    """Parameters hold for inserts with data too."""
    assert table.insert("INSERT INTO {where:Identifier} (n) FORMAT CSV", b"1\n", param_where="t").status_code == 200
    assert count(table) == 1
