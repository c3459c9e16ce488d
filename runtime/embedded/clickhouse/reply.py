"""Headers and bodies of replies."""

from __future__ import annotations

import gzip
import json
import zlib
from collections.abc import Mapping

import zstandard

from runtime.embedded.clickhouse.chdb_types import Result
from runtime.embedded.clickhouse.errors import EngineError

# In this order: what costs the least on one machine comes first.
ENCODINGS = ("lz4", "zstd", "gzip", "br", "deflate")
LEVELS = {"zstd": 1, "gzip": 1, "deflate": 1, "br": 3}
# By the beginning of the format's name; the first that fits.
MEDIA_TYPES = (
    (
        ("JSONEachRow", "JSONCompactEachRow", "JSONStringsEachRow", "JSONLines", "NDJSON"),
        "application/x-ndjson; charset=UTF-8",
    ),
    ("JSON", "application/json; charset=UTF-8"),
    (("TabSeparated", "TSV"), "text/tab-separated-values; charset=UTF-8"),
    ("ArrowStream", "application/vnd.apache.arrow.stream"),
    ("Arrow", "application/vnd.apache.arrow.file"),
    ("XML", "application/xml; charset=UTF-8"),
    (("Native", "RowBinary", "Parquet", "ORC", "Avro", "MsgPack", "Protobuf"), "application/octet-stream"),
)
Headers = list[tuple[bytes, bytes]]


def chosen_encoding(accepted: tuple[str, ...]) -> str | None:
    """The encoding of the reply, or ``None`` for plain."""
    return next((encoding for encoding in ENCODINGS if encoding in accepted), None)


def outfile_compression(encoding: str | None) -> str | None:
    """The encoding as the engine's ``COMPRESSION`` clause writes it, with its level."""
    if encoding is None:
        return None
    level = LEVELS.get(encoding)
    return f"'{encoding}'" + (f" LEVEL {level}" if level else "")


def packed(body: bytes, encoding: str | None) -> bytes:
    """A whole body in one of our own encodings; the same body when it is empty or the encoding is not ours."""
    if not body:
        return body
    if encoding == "zstd":
        return zstandard.ZstdCompressor(level=1).compress(body)
    if encoding == "gzip":
        return gzip.compress(body, compresslevel=1)
    if encoding == "deflate":
        return zlib.compress(body, level=1)
    return body


def content_type(output_format: str) -> str:
    """The media type of a format."""
    if output_format.startswith("CSV"):
        return f"text/csv; charset=UTF-8; header={'present' if 'Names' in output_format else 'absent'}"
    known = (media for start, media in MEDIA_TYPES if output_format.startswith(start))
    return next(known, "text/plain; charset=UTF-8")


def summary(result: Result, sent_bytes: int) -> bytes:
    """``X-ClickHouse-Summary``: all numbers are texts, as ClickHouse writes them."""
    numbers = {
        "read_rows": result.storage_rows_read(),
        "read_bytes": result.storage_bytes_read(),
        "written_rows": result.rows_written(),
        "written_bytes": result.bytes_written(),
        "total_rows_to_read": 0,
        "result_rows": result.rows_read(),
        "result_bytes": sent_bytes,
        "elapsed_ns": int(result.elapsed() * 1_000_000_000),
    }
    return json.dumps({name: str(value) for name, value in numbers.items()}, separators=(",", ":")).encode()


def common_headers(server: Mapping[str, str], query_id: str, output_format: str) -> Headers:
    """What every reply to a query carries; ``server`` names the version's timezone and display name."""
    return [
        (b"content-type", content_type(output_format).encode()),
        (b"x-clickhouse-server-display-name", server["name"].encode()),
        (b"x-clickhouse-query-id", query_id.encode("utf-8", "surrogateescape")),
        (b"x-clickhouse-format", output_format.encode()),
        (b"x-clickhouse-timezone", server["timezone"].encode()),
        (b"vary", b"Accept-Encoding"),
    ]


def error_headers(server: Mapping[str, str], query_id: str, error: EngineError) -> Headers:
    """The headers of a reply that is an error."""
    return [
        (b"content-type", b"text/plain; charset=UTF-8"),
        (b"x-clickhouse-server-display-name", server["name"].encode()),
        (b"x-clickhouse-query-id", query_id.encode("utf-8", "surrogateescape")),
        (b"x-clickhouse-timezone", server["timezone"].encode()),
        (b"x-clickhouse-exception-code", str(error.code).encode()),
    ]


def late_error(error: EngineError, version: str, tag: str) -> bytes:
    """What a reply that had begun ends with: the error between marks that a client can tell from data."""
    message = error.line(version)
    return f"\r\n__exception__\r\n{tag}\r\n{message}{len(message.encode())} {tag}\r\n__exception__\r\n".encode()
