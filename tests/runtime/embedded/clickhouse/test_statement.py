"""Statements are told apart as the engine's own lexer would."""

from __future__ import annotations

import pytest

from runtime.embedded.clickhouse.errors import EngineError
from runtime.embedded.clickhouse.statement import Kind, Statement, first_word, read_insert, read_statement


@pytest.mark.parametrize(
    ("text", "head", "output_format", "tail"),
    [
        ("SELECT 1", "SELECT 1", None, ""),
        ("select 1 format JSON;", "select 1 ", "JSON", ""),
        ("select 1 FORMAT JSON SETTINGS max_threads=1", "select 1 ", "JSON", " SETTINGS max_threads=1"),
        ("WITH 1 AS x SELECT x", "WITH 1 AS x SELECT x", None, ""),
        ("(SELECT 1) UNION ALL (SELECT 2) FORMAT CSV -- end", "(SELECT 1) UNION ALL (SELECT 2) ", "CSV", ""),
        ("SELECT format FROM t", "SELECT format FROM t", None, ""),
        ("SELECT 'x FORMAT CSV'", "SELECT 'x FORMAT CSV'", None, ""),
        ("/* FORMAT CSV */ SELECT `a;b` # FORMAT XML", "/* FORMAT CSV */ SELECT `a;b`", None, ""),
        ("SELECT $tag$ ; FORMAT CSV $tag$ FORMAT XML", "SELECT $tag$ ; FORMAT CSV $tag$ ", "XML", ""),
    ],
)
def test_a_read_is_cut_before_its_format(text: str, head: str, output_format: str | None, tail: str) -> None:
    """The result can be sent elsewhere only by a clause between the query and its format."""
    statement = read_statement(text)

    assert statement.kind is Kind.READ
    assert (statement.head, statement.output_format, statement.tail) == (head, output_format, tail)


@pytest.mark.parametrize(
    "text", ["SHOW TABLES", "CREATE TABLE t (a Int8) ENGINE = Memory", "USE x", "INSERT INTO t SELECT 1"]
)
def test_what_does_not_stream_is_run_as_a_whole(text: str) -> None:
    """Statements with a small result or none keep their text."""
    statement = read_statement(text)

    assert statement.kind is Kind.OTHER
    assert statement.head == text


@pytest.mark.parametrize("text", ["SELECT 1; SELECT 2", "SELECT 1; DROP TABLE t;", "", " ;; ", "-- nothing"])
def test_several_statements_or_none_are_refused(text: str) -> None:
    """The engine would run them all; ClickHouse's HTTP interface takes one."""
    with pytest.raises(EngineError) as caught:
        read_statement(text)

    assert caught.value.code == 62


def test_a_semicolon_inside_a_text_separates_nothing() -> None:
    """Quoted and escaped signs are part of their text."""
    text = r"SELECT 'a;b', 'it''s;', 'it\'s;', \"x;y\"".replace(r"\"", '"')

    assert read_statement(text).head == text


def test_writing_files_is_refused() -> None:
    """A client of the server must not write where the server can."""
    with pytest.raises(EngineError) as caught:
        read_statement("SELECT 1 INTO OUTFILE '/etc/motd'")

    assert caught.value.code == 62


@pytest.mark.parametrize(
    ("text", "head", "input_format", "data"),
    [
        ("INSERT INTO t FORMAT CSV\n1,2\n", "INSERT INTO t ", "CSV", "1,2\n"),
        (
            "insert into db.t (a, b) settings x=1 format JSONEachRow {}",
            "insert into db.t (a, b) settings x=1 ",
            "JSONEachRow",
            "{}",
        ),
        ("INSERT INTO t VALUES (1), (2)", "INSERT INTO t ", "Values", " (1), (2)"),
        ("INSERT INTO `values` (`format`) FORMAT TSV\r\nx", "INSERT INTO `values` (`format`) ", "TSV", "x"),
        ("INSERT INTO format FORMAT Native\n", "INSERT INTO format ", "Native", ""),
        (
            "INSERT INTO FUNCTION null('a UInt8') FORMAT RowBinary ",
            "INSERT INTO FUNCTION null('a UInt8') ",
            "RowBinary",
            "",
        ),
        (
            "INSERT INTO TABLE t /* FORMAT XML */ FORMAT CSV \n\n1",
            "INSERT INTO TABLE t /* FORMAT XML */ ",
            "CSV",
            "\n1",
        ),
    ],
)
def test_an_insert_is_cut_before_its_data(text: str, head: str, input_format: str, data: str) -> None:
    """Data begin after the format's name and one line end; they are never looked into."""
    statement = read_insert(text, complete=True, default_format=None)

    assert statement is not None
    assert statement.kind is Kind.DATA_INSERT
    assert (statement.head, statement.output_format) == (head, input_format)
    assert text[statement.data_start :] == data


@pytest.mark.parametrize(
    "text",
    [
        "INSERT INTO t SELECT 1",
        "INSERT INTO t (a) WITH 1 AS x SELECT x",
        "INSERT INTO t (a) (SELECT 1)",
        "INSERT INTO t FROM INFILE 'x' FORMAT CSV",
    ],
)
def test_an_insert_from_a_query_has_no_data(text: str) -> None:
    """It is run like any other statement."""
    statement = read_insert(text, complete=True, default_format=None)

    assert statement is not None
    assert statement.kind is Kind.OTHER


@pytest.mark.parametrize(
    "text", ["INSERT INTO t", "INSERT INTO t (a, b", "INSERT INTO t FORMAT", "INSERT INTO t FORMAT CS"]
)
def test_an_insert_that_is_cut_off_waits_for_more(text: str) -> None:
    """A body arrives in pieces, and a piece may end anywhere."""
    assert read_insert(text, complete=False, default_format=None) is None


@pytest.mark.parametrize(
    ("head", "sql"),
    [
        ("INSERT INTO t", "INSERT INTO t\nFROM INFILE '/f' COMPRESSION 'none'\n\nFORMAT CSV"),
        (
            "INSERT INTO t (a) SETTINGS x = 1, y = 2",
            "INSERT INTO t (a) \nFROM INFILE '/f' COMPRESSION 'none'\nSETTINGS x = 1, y = 2\nFORMAT CSV",
        ),
        (
            "INSERT INTO settings (settings) -- end",
            "INSERT INTO settings (settings) -- end\nFROM INFILE '/f' COMPRESSION 'none'\n\nFORMAT CSV",
        ),
    ],
)
def test_an_insert_reads_its_data_from_a_file(head: str, sql: str) -> None:
    """The file is named before the settings, as the grammar has it."""
    assert Statement(Kind.DATA_INSERT, head, "CSV").out_of("/f") == sql


def test_an_insert_without_a_format_takes_the_default_one() -> None:
    """Clients may name the format in a header only."""
    statement = read_insert("INSERT INTO t (a)", complete=True, default_format="CSV")

    assert statement is not None
    assert statement.output_format == "CSV"


def test_the_first_word_is_found_behind_comments() -> None:
    """Tools put comments in front of their statements."""
    assert first_word("/* tool */ -- x\n insert into t") == "INSERT"
    assert first_word("  ") == ""
