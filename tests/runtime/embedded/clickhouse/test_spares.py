"""Reads that follow each other on one connection: each as if it had one of its own."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from tests.runtime.embedded.clickhouse.conftest import Server


def test_nothing_of_a_read_stays_for_the_next(server: Server) -> None:
    """Neither its values nor its settings nor its database."""
    assert server.ask("SELECT {x:String}", param_x="mine") == "mine\n"
    assert "UNKNOWN_QUERY_PARAMETER" in server.send("SELECT {x:String}").text

    assert server.ask("SELECT getSetting('max_block_size')", max_block_size="77") == "77\n"
    assert server.ask("SELECT getSetting('max_block_size')") != "77\n"
    assert server.ask("SELECT getSetting('max_block_size') SETTINGS max_block_size = 78") == "78\n"
    assert server.ask("SELECT getSetting('max_block_size')") != "78\n"

    assert server.ask("SELECT currentDatabase()", database="system") == "system\n"
    assert server.ask("SELECT currentDatabase()") == f"{server.database}\n"


def test_a_read_that_failed_leaves_nothing_to_the_next(server: Server) -> None:
    """The engine hands a failed query's output to the next one on its connection."""
    for _ in range(3):
        failed = server.send("SELECT throwIf(number = 3) FROM numbers(9) SETTINGS max_block_size = 1")
        assert "FUNCTION_THROW_IF_VALUE_IS_NON_ZERO" in failed.text
        assert server.ask("SELECT 1") == "1\n"


def test_what_was_changed_since_is_seen(server: Server) -> None:
    """Another definition of a view, and a database that is gone and made anew."""
    server.ask("CREATE VIEW seen AS SELECT 1 AS x")
    assert server.ask("SELECT x FROM seen") == "1\n"
    server.ask("CREATE OR REPLACE VIEW seen AS SELECT 2 AS x")
    assert server.ask("SELECT x FROM seen") == "2\n"

    server.ask(f"DROP DATABASE {server.database} SYNC", database="system")
    gone = server.send("SELECT 1")
    server.ask(f"CREATE DATABASE {server.database}", database="system")
    assert "UNKNOWN_DATABASE" in gone.text
    assert server.ask("SELECT 1") == "1\n"


def test_many_reads_at_once_with_settings_of_their_own(server: Server) -> None:
    """Each sees its own, in whatever order connections are used again."""

    def ask(number: int) -> tuple[str, str]:
        size = str(100 + number % 5)
        return size, server.ask("SELECT getSetting('max_block_size')", max_block_size=size)

    with ThreadPoolExecutor(8) as threads:
        assert all(found == f"{size}\n" for size, found in threads.map(ask, range(60)))
