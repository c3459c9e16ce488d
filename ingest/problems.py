"""Refusals as problem+json (RFC 9457), and the two that ask the sender to come again."""

from __future__ import annotations

from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

import orjson

from core.errors import Refused, Transient
from core.logs import get_logger

Header = tuple[bytes, bytes]

JSON = b"application/json"
PROBLEM_JSON = b"application/problem+json"
# A name, not an address: what it means is in docs/ingest.md, which comes with the product.
TYPE_PREFIX = "urn:millrace:problem:"


@dataclass(frozen=True, slots=True)
class Answer:
    """An HTTP answer, complete."""

    status: int
    body: bytes
    content_type: bytes = JSON
    headers: tuple[Header, ...] = ()


@dataclass(eq=False)
class Busy(Transient):
    """Too much waits for the log already (429): the same request may succeed in a moment."""

    code: str
    message: str
    status: int = field(default=429, kw_only=True)
    retry_after_s: int = field(default=1, kw_only=True)

    def __str__(self) -> str:
        return f"{self.code}: {self.message}"


@dataclass(eq=False)
class Unavailable(Busy):
    """The log, the journal or the books did not answer in time (503). What was sent may or may not have been kept."""

    status: int = field(default=503, kw_only=True)
    retry_after_s: int = field(default=2, kw_only=True)


def answer_json(status: int, body: dict[str, Any]) -> Answer:
    """A plain JSON answer."""
    return Answer(status, orjson.dumps(body))


def answer_problem(
    status: int, code: str, detail: str, *, more: dict[str, Any] | None = None, headers: tuple[Header, ...] = ()
) -> Answer:
    """A problem document: ``code`` is stable and for programs, ``detail`` is for people."""
    document = {
        "type": TYPE_PREFIX + code,
        "title": HTTPStatus(status).phrase,
        "status": status,
        "code": code,
        "detail": detail,
        **(more or {}),
    }
    return Answer(status, orjson.dumps(document), PROBLEM_JSON, headers)


def answer_refused(refused: Refused) -> Answer:
    """The answer to a request that is wrong as a whole."""
    headers: tuple[Header, ...] = ()
    if refused.status == HTTPStatus.UNAUTHORIZED:
        headers = ((b"www-authenticate", b"Bearer"),)
    if refused.status == HTTPStatus.UNSUPPORTED_MEDIA_TYPE:
        headers = ((b"accept-encoding", b"gzip, zstd"),)
    return answer_problem(refused.status, refused.code, refused.message, headers=headers)


def answer_busy(busy: Busy) -> Answer:
    """The answer that asks to come again."""
    headers = ((b"retry-after", str(busy.retry_after_s).encode()),)
    return answer_problem(busy.status, busy.code, busy.message, headers=headers)


def answer_error(error: Exception) -> Answer:
    """The answer to whatever went wrong; a bug of ours is logged in full and told in a word."""
    if isinstance(error, Busy):
        return answer_busy(error)
    if isinstance(error, Refused):
        return answer_refused(error)
    get_logger("ingest").error("unexpected error", exc_info=error)
    return answer_problem(500, "internal_error", "something went wrong here; sending again does no harm")


def unconfirmed(why: str) -> Unavailable:
    """What a sender is told whose events may or may not have been kept; sending them again does no harm."""
    return Unavailable("not_confirmed", f"{why}: send the same events again, with the same ids")
