"""Puts together the statement that a request brings in its address, in its body, or split between both."""

from __future__ import annotations

from dataclasses import replace

from runtime.embedded.clickhouse.body import Body
from runtime.embedded.clickhouse.errors import BAD_ARGUMENTS, SYNTAX_ERROR, refusal
from runtime.embedded.clickhouse.request import Ask
from runtime.embedded.clickhouse.statement import Kind, Statement, first_word, read_insert, read_statement, tokens

# The engine itself reads no further for the part of an insert before its data.
HEAD_BYTES_MAX = 256 * 1024


async def take_in(ask: Ask, body: Body) -> tuple[Statement, bytes]:
    """The statement and, for an insert, the data that came with its text; the rest of the data stays in the body.

    Raises ``EngineError`` for text that is no single statement.
    """
    text = (ask.query or "").encode("utf-8", "surrogateescape")
    if text.strip() and first_word(scanned(text)) == "INSERT":
        statement = read_insert(scanned(text), complete=True, default_format=ask.default_format)
        assert statement is not None
        if statement.kind is Kind.DATA_INSERT:
            return as_text(statement), text[statement.data_start :]
    if text.strip():
        rest = await body.rest()
        return whole(text + b"\n" + rest if rest else text), b""
    return await take_in_body(ask, body)


async def take_in_body(ask: Ask, body: Body) -> tuple[Statement, bytes]:
    """The statement of a request that brings it in its body alone."""
    head = b""
    complete = False
    while not complete:
        piece = await body.next_plain()
        complete = piece is None
        head += piece or b""
        if not complete and next(tokens(scanned(head)), None) is None:
            continue
        if first_word(scanned(head)) != "INSERT":
            break
        statement = read_insert(scanned(head), complete=complete, default_format=ask.default_format)
        if statement is not None and statement.kind is Kind.DATA_INSERT:
            return as_text(statement), head[statement.data_start :]
        if statement is not None:
            break
        if len(head) > HEAD_BYTES_MAX:
            raise refusal(SYNTAX_ERROR, f"Syntax error: no data found within the first {HEAD_BYTES_MAX} bytes")
    return whole(head + await body.rest()), b""


def scanned(text: bytes) -> str:
    """Text with one character a byte, so that offsets in it are offsets in the bytes."""
    return text.decode("latin-1")


def as_text(statement: Statement) -> Statement:
    """The statement with its head as the characters that it stands for."""
    return replace(statement, head=decoded(statement.head.encode("latin-1")))


def whole(text: bytes) -> Statement:
    """A statement without data."""
    return read_statement(decoded(text))


def decoded(text: bytes) -> str:
    """UTF-8 only: the engine's interface takes nothing else."""
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise refusal(BAD_ARGUMENTS, "The query is not valid UTF-8") from None
