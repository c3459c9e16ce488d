"""What one HTTP request asks for, read from its address and headers."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from urllib.parse import parse_qsl
from uuid import uuid4

from runtime.embedded.clickhouse.errors import (
    BAD_ARGUMENTS,
    INVALID_SESSION_TIMEOUT,
    NOT_IMPLEMENTED,
    refusal,
)

PARAMETER = "param_"
TIMEOUT_S = 60
TIMEOUT_S_MAX = 3600

# Parameters with a meaning of their own; any other is a setting of the query.
OWN = frozenset(
    "query database default_format user password quota_key query_id session_id session_timeout session_check"
    " close_session compress decompress stacktrace role wait_end_of_query buffer_size client_protocol_version"
    " enable_http_compression http_zlib_compression_level network_compression_method".split()
)
# Settings about the transport, which is ours: they would change nothing inside the engine.
TRANSPORT = frozenset(
    "send_progress_in_http_headers http_headers_progress_interval_ms cancel_http_readonly_queries_on_client_close"
    " add_http_cors_header http_response_buffer_size http_wait_end_of_query http_write_exception_in_output_format"
    " http_response_headers http_native_compression_disable_checksumming_on_decompress".split()
)
EXTERNAL_ENDS = ("_structure", "_types", "_format")


@dataclass(frozen=True, slots=True)
class Ask:
    """A request taken apart. ``settings`` includes ``param_…`` values; ``accept`` lists encodings of the reply."""

    method: str
    query: str | None
    user: str
    password: str
    database: str | None
    default_format: str | None
    settings: Mapping[str, str]
    query_id: str
    session_id: str | None
    session_timeout_s: int
    session_check: bool
    close_session: bool
    wait_end: bool
    accept: tuple[str, ...]
    content_type: str
    content_encoding: str
    native_blocks: bool
    fields: Mapping[str, str] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, str]:
        """The values bound by name, escaped as in TabSeparated."""
        given = self.settings.items()
        return {name.removeprefix(PARAMETER): value for name, value in given if name.startswith(PARAMETER)}

    @property
    def read_only(self) -> bool:
        """GET must not change anything."""
        return self.method != "POST"


def read_ask(method: str, query_string: bytes, headers: Mapping[str, str], *, packs_by_default: str = "1") -> Ask:
    """Take a request apart; raises ``EngineError`` for what ClickHouse refuses here.

    ``packs_by_default`` is the engine's own ``enable_http_compression``.
    """
    given = dict(parse_qsl(query_string.decode("ascii"), keep_blank_values=True, errors="surrogateescape"))
    if is_on(given.get("compress")):
        raise refusal(
            NOT_IMPLEMENTED, "compress=1 is not supported here; use enable_http_compression=1 and Accept-Encoding"
        )
    user, password = credentials(given, headers)
    return Ask(
        method=method,
        query=given.get("query"),
        user=user,
        password=password,
        database=given.get("database") or headers.get("x-clickhouse-database") or None,
        default_format=headers.get("x-clickhouse-format") or given.get("default_format") or None,
        settings=settings_of(given),
        query_id=given.get("query_id") or str(uuid4()),
        session_id=given.get("session_id") or None,
        session_timeout_s=session_timeout_s(given.get("session_timeout")),
        session_check=is_on(given.get("session_check")),
        close_session=is_on(given.get("close_session")),
        wait_end=is_on(given.get("wait_end_of_query")),
        accept=accepted(headers) if is_on(given.get("enable_http_compression", packs_by_default)) else (),
        content_type=headers.get("content-type", ""),
        content_encoding=headers.get("content-encoding", "").strip().lower(),
        native_blocks=is_on(given.get("decompress")),
        fields=given,
    )


def with_form(ask: Ask, form: Mapping[str, str]) -> Ask:
    """The request with the fields of its form, which count like parameters of the address."""
    return replace(ask, query=form.get("query", ask.query), settings={**ask.settings, **settings_of(form)})


def settings_of(given: Mapping[str, str]) -> dict[str, str]:
    """The parameters that the engine has to know, with the bound values."""
    return {
        name: value
        for name, value in given.items()
        if (name not in OWN and name not in TRANSPORT and not (name.endswith(EXTERNAL_ENDS) and "_" in name))
        or name.startswith(PARAMETER)
    }


def credentials(given: Mapping[str, str], headers: Mapping[str, str]) -> tuple[str, str]:
    """User and password from the headers, Basic authentication or the address; ``default`` when none is given."""
    if "x-clickhouse-user" in headers or "x-clickhouse-key" in headers:
        return headers.get("x-clickhouse-user", "default"), headers.get("x-clickhouse-key", "")
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "basic":
        try:
            user, _, password = base64.b64decode(token, validate=True).decode().partition(":")
        except (binascii.Error, UnicodeDecodeError):
            raise refusal(BAD_ARGUMENTS, "Invalid Basic authentication") from None
        return user or "default", password
    return given.get("user") or "default", given.get("password", "")


def session_timeout_s(text: str | None) -> int:
    """Seconds that a session may rest; raises ``EngineError`` when it is no number or too long."""
    if text is None:
        return TIMEOUT_S
    if not text.isdecimal() or int(text) > TIMEOUT_S_MAX:
        raise refusal(INVALID_SESSION_TIMEOUT, f"Invalid session timeout: '{text}', it must be 0 to {TIMEOUT_S_MAX}")
    return int(text)


def accepted(headers: Mapping[str, str]) -> tuple[str, ...]:
    """The encodings that the client takes, without their weights."""
    pieces = (piece.partition(";")[0].strip().lower() for piece in headers.get("accept-encoding", "").split(","))
    return tuple(piece for piece in pieces if piece)


def is_on(text: str | None) -> bool:
    """Whether a switch of the address is on."""
    return text in ("1", "true", "True")
