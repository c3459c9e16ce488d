"""The engine's messages become ClickHouse's HTTP errors."""

from __future__ import annotations

import pytest

from runtime.embedded.clickhouse.errors import SYNTAX_ERROR, EngineError, read_error, refusal


@pytest.mark.parametrize(
    ("text", "code", "rest"),
    [
        ("Code: 60. DB::Exception: No table. (UNKNOWN_TABLE)", 60, "No table. (UNKNOWN_TABLE)"),
        (
            "Code: 73. DB::Exception: Code: 73. DB::Exception: Bad. (UNKNOWN_FORMAT) (version 26.9.2.1). (X)",
            73,
            "Bad. (UNKNOWN_FORMAT)",
        ),
        (
            "Code: 117. DB::Exception: Bad row: (at row 1)\n: x. (INCORRECT_DATA) (version 26.9.2.1)",
            117,
            "Bad row: (at row 1)\n: x. (INCORRECT_DATA)",
        ),
        ("something else", 49, "something else (LOGICAL_ERROR)"),
    ],
)
def test_messages_are_taken_apart(text: str, code: int, rest: str) -> None:
    """Embedding repeats the number and the version inside; a server says them once."""
    error = read_error(text)

    assert (error.code, error.text) == (code, rest)


@pytest.mark.parametrize(
    ("code", "status"),
    [(60, 404), (81, 404), (115, 404), (62, 400), (117, 400), (516, 403), (159, 408), (48, 501), (241, 500)],
)
def test_codes_have_clickhouse_statuses(code: int, status: int) -> None:
    """Clients decide by the status whether to try again."""
    assert EngineError(code, "").status == status


def test_the_line_ends_with_name_and_version() -> None:
    """Clients read the name out of the text."""
    line = refusal(SYNTAX_ERROR, "Wrong").line("26.9.2.1")

    assert line == "Code: 62. DB::Exception: Wrong. (SYNTAX_ERROR) (version 26.9.2.1 (official build))\n"
