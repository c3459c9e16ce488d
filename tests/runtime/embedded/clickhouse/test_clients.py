"""Clients that are not ours work with the front as with a server: clickhouse-connect and its SQLAlchemy dialect."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import clickhouse_connect
import pyarrow as pa
import pytest
from clickhouse_connect.driver.exceptions import DatabaseError
from sqlalchemy import Engine, MetaData, Table, create_engine, func, inspect, select, text

from tests.runtime.embedded.clickhouse.conftest import Server

NOON = datetime(2023, 11, 20, 12, 0, 0, 123456, tzinfo=UTC)


@pytest.fixture
def client(server: Server) -> Iterator[Any]:
    """A clickhouse-connect client as most programs make it, with a table ``usage``."""
    connected = clickhouse_connect.get_client(dsn=server.dsn, tz_mode="aware")
    connected.command(
        "CREATE TABLE usage (customer LowCardinality(String), at DateTime64(6, 'UTC'), amount Decimal(38, 12),"
        " properties Map(LowCardinality(String), String), key FixedString(16))"
        " ENGINE = MergeTree ORDER BY (customer, at) SETTINGS non_replicated_deduplication_window = 100"
    )
    yield connected
    connected.close()


def rows(count: int) -> pa.Table:
    """Usage as an Arrow table."""
    amounts = [Decimal(n) / 1000 for n in range(count)]
    return pa.table(
        {
            "customer": pa.array([f"c-{n % 7}" for n in range(count)]),
            "at": pa.array([NOON] * count, pa.timestamp("us", "UTC")),
            "amount": pa.array(amounts, pa.decimal128(38, 12)),
            "properties": pa.array([[("model", "m")]] * count, pa.map_(pa.string(), pa.string())),
            "key": pa.array([n.to_bytes(16, "big") for n in range(count)], pa.binary(16)),
        }
    )


@pytest.mark.parametrize("compress", [True, False, "lz4", "zstd", "gzip"])
def test_rows_go_in_and_come_out_as_they_were(client: Any, server: Server, compress: bool | str) -> None:
    """Exact decimals, microseconds, maps and binary keys, with every compression."""
    other = clickhouse_connect.get_client(dsn=server.dsn, compress=compress, tz_mode="aware")
    row = ["c-1", NOON, Decimal("0.000000000001"), {"a": "é"}, bytes(range(16))]
    written = other.insert("usage", [row, row], column_names=["customer", "at", "amount", "properties", "key"])

    assert written.written_rows == 2
    assert [list(found) for found in other.query("SELECT * FROM usage").result_rows] == [row, row]
    other.close()


def test_arrow_goes_in_and_comes_out(client: Any) -> None:
    """Whole columns, without a Python step per row."""
    client.insert_arrow("usage", rows(10_000))
    found = client.query_arrow("SELECT customer, sum(amount) AS total FROM usage GROUP BY customer ORDER BY customer")

    assert found.num_rows == 7
    assert sum(found["total"].to_pylist()) == Decimal("49995.000")


def test_a_token_given_as_a_setting_stores_once(client: Any) -> None:
    """As the stream gives it with every block."""
    for _ in range(2):
        client.insert_arrow("usage", rows(100), settings={"insert_deduplication_token": "topic:1:0:0:99"})

    assert client.query("SELECT count() FROM usage").first_row == (100,)


def test_parameters_settings_and_commands_work(client: Any) -> None:
    """Values are bound by the engine; a command returns its value."""
    found = client.query("SELECT {name:String}, {at:DateTime64(6, 'UTC')}", parameters={"name": "it's", "at": NOON})
    assert found.result_rows == [("it's", NOON)]
    assert client.command("SELECT getSetting('max_threads')", settings={"max_threads": 1}) == 1
    assert client.command("EXISTS TABLE usage") == 1
    client.command("CREATE TEMPORARY TABLE mine (a UInt8)")
    assert client.query("SELECT count() FROM mine").first_row == (0,)
    assert client.query("SELECT customer FROM usage LIMIT 0").column_names == ("customer",)


def test_data_frames_and_streams_work(client: Any) -> None:
    """Pandas frames, row streams and raw formats."""
    client.insert_arrow("usage", rows(200_000))
    assert len(client.query_df("SELECT customer, at FROM usage")) == 200_000
    with client.query_row_block_stream("SELECT key FROM usage") as blocks:
        assert sum(len(block) for block in blocks) == 200_000
    assert client.raw_query("SELECT 1", fmt="CSV") == b"1\n"
    client.raw_insert("usage", ["customer"], "x\ny\n", fmt="CSV")
    assert client.query("SELECT count() FROM usage WHERE customer IN ('x', 'y')").first_row == (2,)


def test_long_parameters_go_as_a_form(server: Server) -> None:
    """A long list does not fit an address."""
    client = clickhouse_connect.get_client(dsn=server.dsn, form_encode_query_params=True)
    found = client.query("SELECT length({names:Array(String)})", parameters={"names": ["x" * 50] * 5000})

    assert found.first_row == (5000,)
    client.close()


def test_errors_carry_their_number_and_name(client: Any) -> None:
    """The driver reads both from the reply, also when the error comes late."""
    with pytest.raises(DatabaseError) as caught:
        client.query("SELECT * FROM nowhere")
    assert (caught.value.code, caught.value.name) == (60, "UNKNOWN_TABLE")
    with pytest.raises(DatabaseError, match="too far"):
        client.query("SELECT throwIf(number = 3000000, 'too far') FROM numbers(9000000)")
    assert client.query("SELECT 1").first_row == (1,)


@pytest.fixture
def engine(server: Server) -> Iterator[Engine]:
    """A SQLAlchemy engine of clickhouse-connect's dialect."""
    made = create_engine(server.dsn.replace("http://", "clickhousedb://"))
    yield made
    made.dispose()


def test_the_sqlalchemy_dialect_queries_and_reflects(client: Any, engine: Engine) -> None:
    """Analysts' tools come through SQLAlchemy: text, expressions, reflection."""
    client.insert_arrow("usage", rows(700))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT count() FROM usage WHERE customer = :c"), {"c": "c-1"}).scalar() == 100
        usage = Table("usage", MetaData(), autoload_with=connection)
        query = select(usage.c.customer, func.sum(usage.c.amount)).group_by(usage.c.customer).order_by("customer")
        found = connection.execute(query).all()

    assert [column.name for column in usage.columns] == ["customer", "at", "amount", "properties", "key"]
    assert len(found) == 7
    assert found[0][0] == "c-0"
    assert "usage" in inspect(engine).get_table_names()
