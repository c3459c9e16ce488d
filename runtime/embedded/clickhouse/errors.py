"""The engine's errors as ClickHouse's HTTP interface reports them."""

from __future__ import annotations

import re
from dataclasses import dataclass

BAD_ARGUMENTS = 36
NOT_IMPLEMENTED = 48
SYNTAX_ERROR = 62
UNKNOWN_FORMAT = 73
UNKNOWN_SETTING = 115
READONLY = 164
UNKNOWN_COMPRESSION_METHOD = 89
TOO_MANY_SIMULTANEOUS_QUERIES = 202
NOT_ENOUGH_SPACE = 243
SESSION_NOT_FOUND = 372
SESSION_IS_LOCKED = 373
INVALID_SESSION_TIMEOUT = 374
AUTHENTICATION_FAILED = 516
CANNOT_DECOMPRESS = 271
LOGICAL_ERROR = 49
QUERY_IS_TOO_LARGE = 229

NAMES = {
    BAD_ARGUMENTS: "BAD_ARGUMENTS",
    NOT_IMPLEMENTED: "NOT_IMPLEMENTED",
    SYNTAX_ERROR: "SYNTAX_ERROR",
    UNKNOWN_FORMAT: "UNKNOWN_FORMAT",
    UNKNOWN_SETTING: "UNKNOWN_SETTING",
    READONLY: "READONLY",
    UNKNOWN_COMPRESSION_METHOD: "UNKNOWN_COMPRESSION_METHOD",
    TOO_MANY_SIMULTANEOUS_QUERIES: "TOO_MANY_SIMULTANEOUS_QUERIES",
    NOT_ENOUGH_SPACE: "NOT_ENOUGH_SPACE",
    SESSION_NOT_FOUND: "SESSION_NOT_FOUND",
    SESSION_IS_LOCKED: "SESSION_IS_LOCKED",
    INVALID_SESSION_TIMEOUT: "INVALID_SESSION_TIMEOUT",
    AUTHENTICATION_FAILED: "AUTHENTICATION_FAILED",
    CANNOT_DECOMPRESS: "CANNOT_DECOMPRESS",
    LOGICAL_ERROR: "LOGICAL_ERROR",
    QUERY_IS_TOO_LARGE: "QUERY_IS_TOO_LARGE",
}

STATUS_BY_CODE = {
    194: 401,  # a password is required
    # Unknown user, wrong password, access denied, role not granted, authentication failed.
    **dict.fromkeys((192, 193, 497, 512, 516), 403),
    # What the text of the query or of the data got wrong.
    **dict.fromkeys((6, 8, 15, 25, 26, 27, 36, 37, 38, 41, 44, 53, 62, 72, 117, 123, 167, 168, 223, 321), 400),
    **dict.fromkeys((376, 427, 441, 675, 676), 400),
    # What the query names and does not exist.
    **dict.fromkeys((46, 47, 50, 56, 60, 63, 73, 78, 81, 115, 152, 336, 511), 404),
    159: 408,  # timeout exceeded
    381: 411,  # length required
    229: 413,  # query is too large
    779: 415,  # unsupported media type
    NOT_IMPLEMENTED: 501,
    **dict.fromkeys((76, 209, 439), 503),  # cannot open a file, socket timeout, cannot schedule a task
}

PREFIX = re.compile(r"Code: (\d+)\. DB::Exception: ")
TAIL = re.compile(r" \(version [^()]*(\([^()]*\))?\)\.?(?: \([A-Z0-9_]+\))?\s*$")


@dataclass(eq=False)
class EngineError(Exception):
    """A query that failed: ClickHouse's number, and its text that ends in the number's name in brackets."""

    code: int
    text: str

    def __str__(self) -> str:
        return f"Code: {self.code}. DB::Exception: {self.text}"

    @property
    def status(self) -> int:
        """The HTTP status that ClickHouse answers with."""
        return STATUS_BY_CODE.get(self.code, 500)

    def line(self, version: str) -> str:
        """The whole message as the body of a response carries it."""
        return f"{self} (version {version} (official build))\n"


def refusal(code: int, message: str) -> EngineError:
    """An error of the front's own, in the engine's words."""
    return EngineError(code, f"{message}. ({NAMES[code]})")


def read_error(text: str) -> EngineError:
    """Take the engine's message apart; nested prefixes and versions, which embedding adds, are taken out."""
    match = PREFIX.search(text)
    if match is None:
        return EngineError(LOGICAL_ERROR, f"{text.strip()} (LOGICAL_ERROR)")
    code = int(match[1])
    rest = PREFIX.sub("", text[match.end() :])
    return EngineError(code, TAIL.sub("", rest).strip())
