"""What ClickHouse refuses, sorted by whether asking again can help."""

from __future__ import annotations

import re
from dataclasses import dataclass

from clickhouse_connect.driver.exceptions import ClickHouseError, OperationalError

from core.errors import MillraceError, Transient

# Codes of ClickHouse after which the same call may succeed: it was busy, full, slow, cut off or shutting down.
# A cut request (reading past its end) and an insert of unknown outcome count too: tokens make a repeat harmless.
TRANSIENT_CODES = {
    3: "UNEXPECTED_END_OF_FILE",
    32: "ATTEMPT_TO_READ_AFTER_EOF",
    159: "TIMEOUT_EXCEEDED",
    160: "TOO_SLOW",
    201: "QUOTA_EXCEEDED",
    202: "TOO_MANY_SIMULTANEOUS_QUERIES",
    203: "NO_FREE_CONNECTION",
    209: "SOCKET_TIMEOUT",
    210: "NETWORK_ERROR",
    225: "NO_ZOOKEEPER",
    236: "ABORTED",
    241: "MEMORY_LIMIT_EXCEEDED",
    242: "TABLE_IS_READ_ONLY",
    243: "NOT_ENOUGH_SPACE",
    252: "TOO_MANY_PARTS",
    279: "ALL_CONNECTION_TRIES_FAILED",
    285: "TOO_FEW_LIVE_REPLICAS",
    319: "UNKNOWN_STATUS_OF_INSERT",
    394: "QUERY_WAS_CANCELLED",
    439: "CANNOT_SCHEDULE_TASK",
    473: "DEADLOCK_AVOIDED",
    999: "KEEPER_EXCEPTION",
}
# Without a code of ClickHouse's own the answer came from something in front of it, or from a server starting up.
TRANSIENT_STATUSES = frozenset({408, 429, 500, 502, 503, 504})
MESSAGE_CHARACTERS_MAX = 400

_HEADING = re.compile(r"(?:Code: \d+\. )?(?:DB::Exception: )")
_TRAILER = re.compile(r"\s*(?:Stack trace:|\(version |\(for url ).*", re.DOTALL)
_STATUS = re.compile(r"HTTP status (\d{3})")
_NAME = re.compile(r"\(([A-Z][A-Z0-9_]{3,})\)")


@dataclass(eq=False)
class UsageStoreError(MillraceError):
    """ClickHouse refused a statement, and would again: its ``code`` (0 if none), ``name`` and one sentence."""

    code: int
    name: str
    message: str

    def __str__(self) -> str:
        return f"ClickHouse: {self.message} ({self.name}, code {self.code})"


def translate(error: ClickHouseError) -> Transient | UsageStoreError:
    """Turn an error of the driver into ``Transient`` or ``UsageStoreError``, without its stack traces."""
    text = str(error)
    code = getattr(error, "code", None)
    name = getattr(error, "name", None) or first_name(text)
    if code is None:
        status = _STATUS.search(text)
        cut_off = status is None and isinstance(error, OperationalError)
        if cut_off or (status is not None and int(status.group(1)) in TRANSIENT_STATUSES):
            return Transient(f"ClickHouse did not answer: {sentence(text)}")
        return UsageStoreError(0, name or type(error).__name__, sentence(text))
    if code in TRANSIENT_CODES:
        return Transient(f"ClickHouse: {sentence(text)} ({TRANSIENT_CODES[code]}, code {code})")
    return UsageStoreError(code, name or "UNKNOWN", sentence(text))


def sentence(text: str) -> str:
    """The part of ClickHouse's message that a person needs: no nesting, version, address or stack trace."""
    body = text.split("server response:", 1)[-1]
    body = _TRAILER.sub("", _HEADING.sub("", body))
    return _NAME.sub("", body).strip().rstrip(".:, ")[:MESSAGE_CHARACTERS_MAX]


def first_name(text: str) -> str | None:
    """The symbolic name of the error, such as ``UNKNOWN_TABLE``, if the text has one."""
    found = _NAME.search(text)
    return found.group(1) if found else None
