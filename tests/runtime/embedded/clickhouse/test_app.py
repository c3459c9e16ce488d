"""The front answers as ClickHouse's documentation says that ClickHouse does."""

from __future__ import annotations

import json
import subprocess
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest

from tests.runtime.embedded.clickhouse.conftest import Server


def test_it_says_that_it_is_there(server: Server) -> None:
    """The root and /ping answer without a query; other paths do not exist."""
    assert server.http.get("/").text == "Ok.\n"
    assert server.http.get("/ping").text == "Ok.\n"
    assert server.http.head("/ping").status_code == 200
    assert server.http.get("/nothing").status_code == 404


def test_curl_asks_as_the_documentation_does(server: Server) -> None:
    """GET with a query, POST with a query, POST with the query split between address and body."""
    commands = [
        ["curl", "-sS", f"{server.url}/?query=SELECT%201"],
        ["curl", "-sS", "--data-binary", "SELECT 1", server.url],
        ["curl", "-sS", f"{server.url}/?query=SELECT", "-d", "1"],
        ["curl", "-sS", f"{server.url}/", "-d", "SELECT 1 FORMAT TabSeparated"],
        ["curl", "-sS", "--compressed", f"{server.url}/?query=SELECT%201&enable_http_compression=1"],
    ]
    for command in commands:
        assert subprocess.run(command, capture_output=True, check=True, timeout=20).stdout == b"1\n", command


def test_curl_inserts_as_the_documentation_does(server: Server) -> None:
    """The statement in the address and the data in the body, or all of it in the body."""
    server.ask("CREATE TABLE t (a UInt8) ENGINE = MergeTree ORDER BY a")
    for address, body in (
        (f"{server.dsn_query}&query=INSERT%20INTO%20t%20VALUES", "(1),(2),(3)"),
        (server.dsn_query, "INSERT INTO t VALUES (4),(5)"),
        (f"{server.dsn_query}&query=INSERT%20INTO%20t%20FORMAT%20TabSeparated", "6\n7\n"),
        (server.dsn_query, "INSERT INTO t FORMAT CSV\n8\n9\n"),
    ):
        subprocess.run(["curl", "-sSf", address, "--data-binary", body], check=True, timeout=20)

    assert server.ask("SELECT groupArray(a) FROM (SELECT a FROM t ORDER BY a)") == "[1,2,3,4,5,6,7,8,9]\n"


@pytest.mark.parametrize(
    ("sql", "status", "code", "name"),
    [
        ("SELECT * FROM nowhere", 404, "60", "UNKNOWN_TABLE"),
        ("SELECT nothing", 404, "47", "UNKNOWN_IDENTIFIER"),
        ("SELECT nofunction(1)", 404, "46", "UNKNOWN_FUNCTION"),
        ("SELEC 1", 400, "62", "SYNTAX_ERROR"),
        ("SELECT 1; SELECT 2", 400, "62", "SYNTAX_ERROR"),
        ("USE nodatabase", 404, "81", "UNKNOWN_DATABASE"),
        ("SELECT 1 FORMAT Nope", 404, "73", "UNKNOWN_FORMAT"),
        ("SELECT throwIf(1)", 500, "395", "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO"),
    ],
)
def test_errors_have_clickhouse_codes_and_statuses(server: Server, sql: str, status: int, code: str, name: str) -> None:
    """Header, status and text agree, as clients expect them to."""
    reply = server.send(sql)

    assert reply.status_code == status, reply.text
    assert reply.headers["x-clickhouse-exception-code"] == code
    assert reply.text.startswith(f"Code: {code}. DB::Exception: ")
    assert f"({name}) (version " in reply.text


def test_replies_tell_format_zone_and_summary(server: Server) -> None:
    """The headers that client libraries read."""
    reply = server.send("SELECT number FROM numbers(10) FORMAT JSONCompact", query_id="mine")

    assert reply.headers["x-clickhouse-format"] == "JSONCompact"
    assert reply.headers["content-type"] == "application/json; charset=UTF-8"
    assert reply.headers["x-clickhouse-timezone"] in ("UTC", "Etc/UTC")
    assert reply.headers["x-clickhouse-query-id"] == "mine"
    assert json.loads(reply.headers["x-clickhouse-summary"])["read_rows"] == "10"
    assert len(reply.json()["data"]) == 10


def test_the_default_format_comes_from_address_or_header(server: Server) -> None:
    """The statement's own format wins."""
    assert server.ask("SELECT 1 AS a", default_format="JSONEachRow") == '{"a":1}\n'
    assert server.http.post("/", content="SELECT 1", headers={"X-ClickHouse-Format": "Values"}).text == "(1)"
    assert server.ask("SELECT 1 FORMAT CSV", default_format="JSON") == "1\n"
    assert server.ask("SHOW DATABASES LIKE 'nothing' FORMAT JSONCompact").startswith("{")


def test_the_database_comes_from_address_or_header(server: Server) -> None:
    """An unknown one is an error before the query runs."""
    assert server.ask("SELECT currentDatabase()") == f"{server.database}\n"
    headers = {"X-ClickHouse-Database": server.database}
    assert server.http.post("/", content="SELECT currentDatabase()", headers=headers).text == f"{server.database}\n"
    assert server.send("SELECT 1", database="nodatabase").status_code == 404


def test_parameters_are_bound_by_the_engine(server: Server) -> None:
    """Values never become part of the statement's text, whatever they hold."""
    nasty = "it's \\'; DROP TABLE t --"
    assert (
        server.ask("SELECT {s:String} = 'it\\'s \\\\\\'; DROP TABLE t --'", param_s=nasty.replace("\\", "\\\\"))
        == "1\n"
    )
    assert (
        server.ask("SELECT {n:UInt64} + 1, {a:Array(String)}", param_n="41", param_a="['x','y']") == "42\t['x','y']\n"
    )
    server.ask("CREATE TABLE t (a UInt8) ENGINE = Memory")
    assert server.ask("SELECT count() FROM {t:Identifier}", param_t="t") == "0\n"
    assert server.insert("INSERT INTO t VALUES ({n:UInt8})", b"", param_n="7").status_code == 200
    assert server.ask("SELECT a FROM t") == "7\n"
    assert server.send("SELECT {missing:String}").headers["x-clickhouse-exception-code"] == "456"
    assert server.send("SELECT {n:UInt8}", param_n="x").headers["x-clickhouse-exception-code"] == "457"


def test_other_parameters_are_settings_of_the_query(server: Server) -> None:
    """Each query has its own; unknown names and unsafe ones are refused."""
    assert server.ask("SELECT getSetting('max_threads')", max_threads="1") == "1\n"
    assert server.ask("SELECT getSetting('max_block_size')") == "65409\n"
    assert server.send("SELECT 1", no_such_setting="1").status_code == 404
    assert server.send("SELECT 1", **{"max_threads = 1, readonly": "0"}).status_code == 404
    limited = server.send("SELECT * FROM numbers(100)", max_result_rows="10", result_overflow_mode="throw")
    assert limited.headers["x-clickhouse-exception-code"] == "396"
    assert server.ask("SELECT getSetting('log_comment')", log_comment='it\'s \\ "so"') == 'it\\\'s \\\\ "so"\n'


def test_get_and_readonly_change_nothing(server: Server) -> None:
    """GET reads; so does a request that says readonly, in a session too."""
    server.ask("CREATE TABLE t (a UInt8) ENGINE = Memory")
    where = {"database": server.database}
    refused = server.http.get("/", params={"query": "DROP TABLE t", **where})
    assert (refused.status_code, refused.headers["x-clickhouse-exception-code"]) == (500, "164")
    assert server.http.get("/", params={"query": "INSERT INTO t VALUES (1)", **where}).status_code == 500
    assert server.http.get("/", params={"query": "SELECT count() FROM t", **where}).text == "0\n"
    assert server.send("INSERT INTO t VALUES (1)", readonly="1").headers["x-clickhouse-exception-code"] == "164"
    assert server.send("DROP TABLE t", readonly="1", session_id="ro").headers["x-clickhouse-exception-code"] == "164"
    assert server.ask("INSERT INTO t VALUES (1)", session_id="ro") == ""
    assert server.ask("SELECT count() FROM t") == "1\n"


def test_large_results_stream(server: Server) -> None:
    """The first bytes come long before the last ones are made."""
    sql = "SELECT * FROM numbers(20000000) FORMAT RowBinary"
    total = 0
    with server.http.stream("POST", "/", content=sql, params={"enable_http_compression": "0"}) as reply:
        assert "content-length" not in reply.headers
        for piece in reply.iter_raw():
            total += len(piece)

    assert total == 160_000_000


def test_an_error_after_the_reply_began_is_marked_and_breaks_it(server: Server) -> None:
    """Half a result must never look like a whole one."""
    sql = "SELECT throwIf(number = 30000000, 'too far') FROM numbers(100000000) FORMAT RowBinary"
    pieces: deque[bytes] = deque(maxlen=2)
    with server.http.stream("POST", "/", content=sql, params={"enable_http_compression": "0"}) as reply:
        assert reply.status_code == 200
        tag = reply.headers["x-clickhouse-exception-tag"].encode()
        with pytest.raises(httpx.RemoteProtocolError):
            pieces.extend(reply.iter_raw())

    rest = b"".join(pieces)
    assert b"__exception__\r\n" + tag in rest
    assert b"too far" in rest


def test_waiting_for_the_end_gives_every_error_its_status(server: Server) -> None:
    """With wait_end_of_query nothing is sent before the query has succeeded."""
    sql = "SELECT throwIf(number = 3000000) FROM numbers(10000000) FORMAT RowBinary"

    assert server.send(sql, wait_end_of_query="1").status_code == 500
    assert (
        len(server.send("SELECT * FROM numbers(1000000) FORMAT RowBinary", wait_end_of_query="1").content) == 8_000_000
    )


def test_a_failed_query_leaves_nothing_to_the_next(server: Server) -> None:
    """The engine keeps the output of a failed query for the next one on its connection."""
    for number in range(3):
        assert server.send("SELECT throwIf(number = 300000) FROM numbers(1000000)", session_id="s").status_code == 500
        assert server.ask(f"SELECT {number}", session_id="s") == f"{number}\n"


def test_a_query_ends_when_its_client_goes_away(server: Server) -> None:
    """Nobody would read the rest, and it would hold a place."""
    with server.http.stream("POST", "/", content="SELECT * FROM numbers(1000000000000) FORMAT RowBinary") as reply:
        next(reply.iter_raw())

    for _ in range(100):
        if server.ask("SELECT count() FROM system.processes WHERE query LIKE '%1000000000000%'") == "1\n":
            return
    pytest.fail("the query still runs")


def test_many_clients_are_served_at_once(server: Server) -> None:
    """More than there are threads; each gets its own answer."""
    with ThreadPoolExecutor(40) as pool:
        answers = list(pool.map(lambda n: server.ask(f"SELECT sum(number) + {n} FROM numbers(100000)"), range(40)))

    assert answers == [f"{4999950000 + n}\n" for n in range(40)]


def test_forms_carry_queries_parameters_and_tables(server: Server) -> None:
    """Long statements and tables for one query come as multipart forms."""
    fields = {"query": "SELECT {n:UInt8} + sum(v) FROM ext", "param_n": "1"}
    files = {"ext": ("ext", b"1\n2\n3\n")}
    told = {"ext_structure": "v UInt8", "ext_format": "CSV"}
    reply = server.http.post("/", data=fields, files=files, params=told)

    assert reply.text == "7\n"
    assert server.send("SELECT * FROM ext").status_code == 404


def test_curl_sends_a_large_body(server: Server, tmp_path: Path) -> None:
    """Curl asks first whether a large body is welcome."""
    server.ask("CREATE TABLE t (a UInt32) ENGINE = MergeTree ORDER BY a")
    data = tmp_path / "data.csv"
    data.write_text("\n".join(map(str, range(500_000))))
    address = f"{server.dsn_query}&query=INSERT%20INTO%20t%20FORMAT%20CSV"
    command = ["curl", "-sSf", "-H", "Expect: 100-continue", address, "--data-binary", f"@{data}"]
    subprocess.run(command, check=True, timeout=30)

    assert server.ask("SELECT count(), max(a) FROM t") == "500000\t499999\n"
