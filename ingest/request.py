"""What the head of a request says: key, form, packing, and whether old events are meant."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from core.errors import Refused
from core.limits import BODY_BYTES_MAX
from ingest.decode import Layout
from ingest.unpack import Encoding

Scope = MutableMapping[str, Any]

CLOUD_EVENTS = {"application/cloudevents+json", "application/cloudevents-batch+json"}
DOCUMENTS = {"application/json", "", *CLOUD_EVENTS}
LINES = {"application/x-ndjson", "application/ndjson", "application/jsonl"}
ENCODINGS: dict[str, Encoding] = {"": "identity", "identity": "identity", "gzip": "gzip", "zstd": "zstd"}
SWITCH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True, slots=True)
class Head:
    """A request's head, read and found to be in order."""

    layout: Layout
    cloud_only: bool
    encoding: Encoding
    backfill: bool


def bearer_key(headers: Mapping[bytes, bytes]) -> str:
    """The key of ``Authorization: Bearer …``; empty when there is none."""
    scheme, _, key = headers.get(b"authorization", b"").partition(b" ")
    return key.strip().decode("latin-1") if scheme.lower() == b"bearer" else ""


def read_head(scope: Scope, headers: Mapping[bytes, bytes]) -> Head:
    """Read the head of a request for events; raises ``Refused`` (413, 415 or 422)."""
    kind, _, parameters = headers.get(b"content-type", b"").decode("latin-1").partition(";")
    kind = kind.strip().lower()
    if b"ce-specversion" in headers and kind not in CLOUD_EVENTS:
        raise Refused("cloudevents_binary_mode", "send CloudEvents in structured or batch mode", 415)
    if kind not in DOCUMENTS and kind not in LINES:
        raise Refused("media_type_unknown", f"{kind[:80]!r} is not understood: send application/json", 415)
    charset = parameters.lower().replace(" ", "").replace('"', "").partition("charset=")[2].partition(";")[0]
    if charset not in {"", "utf-8", "utf8", "us-ascii"}:
        raise Refused("charset_unknown", "events are read as UTF-8", 415)
    check_length(headers)
    return Head(
        layout="lines" if kind in LINES else "document",
        cloud_only=kind in CLOUD_EVENTS,
        encoding=read_encoding(headers),
        backfill=read_backfill(scope.get("query_string", b"")),
    )


def read_encoding(headers: Mapping[bytes, bytes]) -> Encoding:
    """The one Content-Encoding; several on top of each other are refused."""
    name = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
    if name not in ENCODINGS:
        raise Refused("encoding_unknown", "Content-Encoding may be gzip or zstd, once", 415)
    return ENCODINGS[name]


def check_length(headers: Mapping[bytes, bytes]) -> None:
    """Refuse a body that announces too much, before any of it is read."""
    text = headers.get(b"content-length", b"")
    if text.isdigit() and (len(text) > 15 or int(text) > BODY_BYTES_MAX):
        raise Refused("body_too_large", f"a body may take {BODY_BYTES_MAX} bytes; send it in several requests", 413)


def read_backfill(query: bytes) -> bool:
    """The switch ``?backfill=true``."""
    if not query:
        return False
    values = parse_qs(query.decode("latin-1"), keep_blank_values=True, max_num_fields=None).get("backfill", ["false"])
    if values[-1].lower() not in SWITCH:
        raise Refused("query_invalid", "backfill is true or false", 422)
    return SWITCH[values[-1].lower()]
