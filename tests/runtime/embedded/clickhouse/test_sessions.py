"""What a session keeps, and for whom."""

from __future__ import annotations

import threading

from tests.runtime.embedded.clickhouse.conftest import Server


def test_a_session_keeps_tables_settings_and_database(server: Server) -> None:
    """Temporary tables, SET and USE last within their session and are unknown outside."""
    mine = {"session_id": "mine"}
    server.ask("CREATE TEMPORARY TABLE kept (a UInt8)", **mine)
    server.ask("INSERT INTO kept VALUES (7)", **mine)
    server.ask("SET max_threads = 3", **mine)
    server.http.post("/", content="USE system", params=mine).raise_for_status()

    assert server.http.post("/", content="SELECT currentDatabase()", params=mine).text == "system\n"
    assert server.ask("SELECT a, getSetting('max_threads') FROM kept", **mine) == "7\t3\n"
    assert server.send("SELECT a FROM kept").status_code == 404
    assert server.send("SELECT a FROM kept", session_id="another").status_code == 404


def test_settings_of_one_query_do_not_stay_in_the_session(server: Server) -> None:
    """They are taken back by the next query without them, also when it changes settings itself."""
    mine = {"session_id": "s1"}
    server.ask("SET max_block_size = 1000", **mine)
    both = "SELECT getSetting('max_block_size'), getSetting('max_threads')"

    assert server.ask(both, max_block_size="2000", max_threads="5", **mine) == "2000\t5\n"
    assert server.ask(both, max_block_size="3000", max_threads="5", **mine) == "3000\t5\n"
    assert server.ask("SELECT getSetting('max_block_size')", **mine) == "1000\n"
    server.ask("SET max_block_size = 4000", max_block_size="2000", **mine)
    assert server.ask("SELECT getSetting('max_block_size')", **mine) == "4000\n"
    assert server.send("SELECT 1", no_such_setting="1", **mine).status_code == 404
    assert server.ask("SELECT getSetting('max_block_size')", **mine) == "4000\n"


def test_a_session_is_for_one_query_at_a_time(server: Server) -> None:
    """A second query gets an error at once in place of waiting."""
    mine = {"session_id": "s2"}

    def take_long() -> None:
        # The other's questions are short, but one of them may be under way.
        while server.send("SELECT sleepEachRow(0.4) FROM numbers(2)", **mine).status_code != 200:
            pass

    thread = threading.Thread(target=take_long)
    server.ask("SELECT 1", **mine)
    thread.start()
    found = ""
    while thread.is_alive() and found != "373":
        found = server.send("SELECT 1", **mine).headers.get("x-clickhouse-exception-code", "")
    thread.join()

    assert found == "373"
    assert server.ask("SELECT 1", **mine) == "1\n"


def test_a_session_can_be_asked_for_and_ended(server: Server) -> None:
    """session_check wants an existing one; close_session and its timeout end it."""
    assert server.send("SELECT 1", session_id="s3", session_check="1").headers["x-clickhouse-exception-code"] == "372"
    server.ask("CREATE TEMPORARY TABLE kept (a UInt8)", session_id="s3")
    server.ask("SELECT count() FROM kept", session_id="s3", session_check="1")
    server.ask("SELECT 1", session_id="s3", close_session="1")
    assert server.send("SELECT count() FROM kept", session_id="s3").status_code == 404
    server.ask("CREATE TEMPORARY TABLE kept (a UInt8)", session_id="s4", session_timeout="0")
    assert server.send("SELECT count() FROM kept", session_id="s4").status_code == 404


def test_a_failed_query_leaves_the_session_as_it_was(server: Server) -> None:
    """An error is not the end of a session."""
    server.ask("CREATE TEMPORARY TABLE kept (a UInt8)", session_id="s5")
    server.send("SELECT nothing", session_id="s5")
    server.insert("INSERT INTO kept FORMAT CSV", b"x\n", session_id="s5")

    assert server.ask("SELECT count() FROM kept", session_id="s5") == "0\n"
