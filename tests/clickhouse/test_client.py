"""The client against a real engine."""

from __future__ import annotations

import socket
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta, timezone
from decimal import Decimal

import polars as pl
import pyarrow as pa
import pytest

from clickhouse.client import UsageStore, bind, open_usage_store, read_address
from clickhouse.errors import UsageStoreError
from core.errors import Transient
from tests.clickhouse.builders import at, event, events_frame, unique, uniques_frame, window, windows_frame

EVENT_COLUMNS = "* REPLACE (toString(fate) AS fate, toString(action) AS action)"
WINDOW_COLUMNS = "* REPLACE (toDateTime64(window_start, 6, 'UTC') AS window_start)"


def count(store: UsageStore, table: str) -> int:
    """Rows of a table."""
    return int(store.query_frame(f"SELECT count() AS n FROM {table}")["n"][0])


def test_every_column_comes_back_as_it_went_in(usage_store: UsageStore) -> None:
    """Maps, 128-bit keys, 64-bit hashes, microseconds, enums and 38-digit decimals survive both ways."""
    properties = [{"key": "a.b", "value": "1e3"}, {"key": "ü", "value": "x\ty\n'\"\\\0z"}]
    sent = [event("e-1", properties=properties, key=bytes(range(16))), event("e-2", properties=[], fate="held")]
    wide = Decimal("12345678901234567890123456.123456789012")
    delta = window(sum=wide, min=-wide, last_key=b"\xff" * 16, group_key='{"model":"größe"}')

    usage_store.insert_frame("usage_events", events_frame(sent), token="e")
    usage_store.insert_frame("usage_windows", windows_frame([delta]), token="w")
    usage_store.insert_frame("usage_uniques", uniques_frame([unique("v")]), token="u")
    events = usage_store.query_frame(f"SELECT {EVENT_COLUMNS} FROM usage_events ORDER BY event_id")
    windows = usage_store.query_frame(f"SELECT {WINDOW_COLUMNS} FROM usage_windows")
    uniques = usage_store.query_frame(f"SELECT {WINDOW_COLUMNS} FROM usage_uniques")

    pairs = events.schema["properties"]
    assert pairs == pl.Map(pl.String(), pl.String())
    assert events.to_arrow().column("properties").to_pylist() == [[("a.b", "1e3"), ("ü", "x\ty\n'\"\\\0z")], []]
    assert events.drop("properties").to_dicts() == events_frame(sent).drop("properties").to_dicts()
    assert windows.equals(windows_frame([delta]))
    assert uniques.equals(uniques_frame([unique("v")]))


def test_arrow_tables_with_dictionaries_are_taken_as_they_are(usage_store: UsageStore) -> None:
    """Streams may hand over Arrow: dictionary-encoded names, real maps and fixed-size keys."""
    table = events_frame([event("e-1"), event("e-2")]).to_arrow()
    index = table.column_names.index("type")
    table = table.set_column(index, "type", table.column("type").cast(pa.string()).dictionary_encode())
    index = table.column_names.index("key")
    table = table.set_column(index, "key", table.column("key").cast(pa.binary()).cast(pa.binary(16)))

    usage_store.insert_frame("usage_events", table, token="e")

    found = usage_store.query_frame(
        "SELECT type, properties['model'] AS model, count() AS n FROM usage_events GROUP BY ALL"
    )
    assert found.rows() == [("llm.request", "large", 2)]


def test_a_token_is_taken_once_whatever_comes_under_it(usage_store: UsageStore) -> None:
    """A repeat adds nothing, also over many months; the same rows under another token are new rows."""
    rows = [window(window_start=at(f"20{year:02}-{month:02}-01")) for year in range(4, 24) for month in range(1, 13)]
    frame = windows_frame(rows)

    for token in ("t:1:0:0:9", "t:1:0:0:9", "t:1:0:10:19"):
        usage_store.insert_frame("usage_windows", frame, token=token)

    assert count(usage_store, "usage_windows") == 2 * 240


def test_an_empty_frame_is_no_insert(usage_store: UsageStore) -> None:
    """A block may have no distinct values; its token stays free."""
    usage_store.insert_frame("usage_uniques", uniques_frame([]), token="t")
    usage_store.insert_frame("usage_uniques", uniques_frame([unique("v")]), token="t")

    assert count(usage_store, "usage_uniques") == 1


@pytest.mark.parametrize(
    ("frame", "name"),
    [
        (windows_frame([window(customer_id=None)]), "CANNOT_INSERT_NULL_IN_ORDINARY_COLUMN"),
        (events_frame([event("e", fate="nonsense")]), "UNKNOWN_ELEMENT_OF_ENUM"),
        (windows_frame([window()]).with_columns(pl.lit(1).alias("surplus")), "NO_SUCH_COLUMN_IN_TABLE"),
    ],
)
def test_rows_that_do_not_fit_are_refused_and_none_is_stored(
    usage_store: UsageStore, frame: pl.DataFrame, name: str
) -> None:
    """Nothing becomes '' or 0 silently."""
    table = "usage_events" if "fate" in frame.columns else "usage_windows"

    with pytest.raises(UsageStoreError) as refused:
        usage_store.insert_frame(table, frame, token="t")

    assert refused.value.name == name
    assert count(usage_store, table) == 0


def test_values_reach_the_server_as_values_only(usage_store: UsageStore) -> None:
    """Quotes, backslashes, line ends and braces mean nothing; instants keep their microseconds and their zone."""
    nasty = "'; DROP TABLE usage_events; -- \\ {x:String} %s \n\t"
    instant = at("2023-11-20T12:00:00.123456").astimezone(timezone(timedelta(hours=5, minutes=30)))
    found = usage_store.query_frame(
        "SELECT {a:String} AS a, {b:Array(String)} AS b, {c:DateTime64(6, 'UTC')} AS c, {d:Decimal(38, 12)} AS d",
        {"a": nasty, "b": (nasty, ""), "c": instant, "d": Decimal("-0.000000000001")},
    )

    assert found.row(0) == (nasty, [nasty, ""], instant, Decimal("-0.000000000001"))
    assert count(usage_store, "usage_events") == 0


def test_a_parameter_that_the_sql_does_not_name_is_our_bug() -> None:
    """Otherwise the driver would paste the value into the text."""
    with pytest.raises(AssertionError, match="name"):
        bind("SELECT %(a)s", {"a": 1})


def test_what_the_server_refuses_is_told_in_a_sentence(usage_store: UsageStore) -> None:
    """Code, name and one line; no stack trace, version or address."""
    with pytest.raises(UsageStoreError) as refused:
        usage_store.query_frame("SELECT * FROM nowhere")

    assert (refused.value.code, refused.value.name) == (60, "UNKNOWN_TABLE")
    assert "nowhere" in str(refused.value)
    assert not {"trace:", "(version", "http:"} & set(str(refused.value).split())


def test_a_slow_query_and_a_missing_server_may_be_tried_again(usage_store: UsageStore) -> None:
    """Both are ``Transient``, and the store works on afterwards."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    absent = open_usage_store(f"http://127.0.0.1:{port}/millrace", connect_timeout_s=1)

    with pytest.raises(Transient, match="did not answer"):
        absent.query_frame("SELECT 1")
    with pytest.raises(Transient, match="TIMEOUT_EXCEEDED"):
        usage_store.query_frame(
            "SELECT sleepEachRow(1) FROM numbers(3) SETTINGS max_execution_time = 1, max_block_size = 1"
        )
    assert usage_store.query_frame("SELECT 1 AS one").rows() == [(1,)]


def test_threads_may_share_a_store(usage_store: UsageStore) -> None:
    """Inserts and queries from many threads at once all arrive and get their own answers."""

    def work(number: int) -> int:
        usage_store.insert_frame("usage_windows", windows_frame([window(block_first=number)]), token=f"t{number}")
        return int(usage_store.query_frame("SELECT {n:UInt32} AS n", {"n": number})["n"][0])

    with ThreadPoolExecutor(8) as threads:
        answers = list(threads.map(work, range(40)))

    assert answers == list(range(40))
    assert count(usage_store, "usage_windows") == 40


def test_a_closed_store_connects_anew(usage_store: UsageStore) -> None:
    """Closing gives connections back; it is no end."""
    usage_store.close()

    assert usage_store.query_frame("SELECT 1 AS one").rows() == [(1,)]


def test_addresses_are_read_whole_or_refused() -> None:
    """User, password and database come from the URL; without a database there is nothing to use."""
    address = read_address("https://an%40na:p%3Aw@ch.example/usage")

    assert (address.user, address.password, address.port, address.database) == ("an@na", "p:w", 8443, "usage")
    for wrong in ("http://127.0.0.1:8123", "127.0.0.1:8123/x", "clickhouse://h/x", "http://h/a/b"):
        with pytest.raises(ValueError, match="looks like"):
            read_address(wrong)
