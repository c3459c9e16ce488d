"""Requests about which something is wrong or unusual."""

from __future__ import annotations

import gzip

import zstandard

from core.limits import BODY_BYTES_MAX, EVENTS_PER_REQUEST_MAX
from tests.ingest.conftest import KEY, OTHER_KEY
from tests.ingest.doors import request_of


def odd_heads() -> list[bytes]:
    """Requests about whose heads something is wrong or unusual."""
    body = b'{"id":"a","type":"t","subject":"s"}'
    length = b"Content-Length: %d" % len(body)
    plain = request_of(body)
    return [
        request_of(body, key="bb_wrong-key-wrong-key"),
        request_of(body, key="x"),
        request_of(body, key=OTHER_KEY),
        plain.replace(b"Bearer", b"Basic"),
        plain.replace(b"Authorization", b"Nothing"),
        request_of(body, b"Authorization: Bearer " + KEY.encode()),
        request_of(body, kind=b"text/html"),
        request_of(body, kind=b"application/json; charset=latin1"),
        request_of(body, kind=b"application/json; charset=UTF-8"),
        request_of(body, kind=b"application/cloudevents+json"),
        request_of(body, b"ce-specversion: 1.0"),
        request_of(body, b"Content-Encoding: br"),
        request_of(body, b"Content-Encoding: gzip, gzip"),
        request_of(body, b"Content-Encoding: identity"),
        request_of(body, b"Content-Encoding: gzip"),
        request_of(gzip.compress(body), b"Content-Encoding: gzip"),
        request_of(zstandard.compress(body), b"Content-Encoding: zstd"),
        request_of(zstandard.compress(b" " * 100_000_000), b"Content-Encoding: zstd"),
        plain.replace(length, b"Transfer-Encoding: chunked").replace(
            body, b"%x\r\n%s\r\n0\r\n\r\n" % (len(body), body)
        ),
        plain.replace(b"HTTP/1.1", b"HTTP/1.0"),
        request_of(body, b"Connection: close"),
        request_of(body, b"Expect: 100-continue"),
        plain.replace(b"/v1/events", b"/v1/events?backfill=true"),
        plain.replace(b"/v1/events", b"/v1/events?backfill=maybe"),
        plain.replace(b"/v1/events", b"/v1/event"),
        plain.replace(b"POST", b"GET"),
        plain.replace(length, b"Content-Length: 0").replace(body, b""),
        plain.replace(length, b"Nothing: 0").replace(body, b""),
        plain.replace(length, b"Content-Length: x"),
        plain.replace(b"\r\n", b"\n"),
        b"\r\n" + plain,
        b"nonsense\r\n\r\n",
    ]


def odd_bodies() -> list[bytes]:
    """Plain requests about whose bodies something is wrong or unusual."""
    good = b'{"id":"a","type":"t","subject":"s"}'
    deep = b'{"id":"a","type":"t","subject":"s","properties":' + b'{"a":' * 50_000 + b"1" + b"}" * 50_001
    bodies = [
        good, b"[%s]" % good, b"[%s,%s]" % (good, good), b" %s\n" % good, b"[ %s ]" % good, b"", b"[]", b"{}", b"[{}]",
        b"{", b"[", b"]", b"[%s" % good, b"%s]" % good, b"[[%s]]" % good, b"%s%s" % (good, good), b"null", b"1", b'"x"',
        b"%s,%s" % (good, good), b"[%s,]" % good, b"[,%s]" % good, b"\xef\xbb\xbf" + good, b"\xff", b'{"id":"\xff"}',
        b'{"id":"\\ud800","type":"t","subject":"s"}', b'[{"id":"\\ud800","type":"t","subject":"s"}]',
        b'{"id":"a","type":"t","subject":"s","properties":{"n":%s}}' % (b"9" * 5_000),
        b'{"id":"a","type":"metered","subject":"s","properties":{"tokens":"many"}}',
        b'{"id":"a","type":"metered","subject":"s"}', b'{"id":"a","id":"b","type":"t","subject":"s"}',
        b'{"id":"a","type":"t","subject":"s","time":"yesterday"}',
        b'{"id":"a","type":"t","subject":"s","time":"2001-01-01T00:00:00Z"}',
        b'{"id":"%s","type":"t","subject":"s"}' % (b"i" * 300), deep, b"[" * 100_000, b"[" * 2_000_000,
        b"[%s]" % b",".join([b"{}"] * (EVENTS_PER_REQUEST_MAX + 1)), b"[%s]" % b",".join([b"1"] * 300_000),
        b" " * BODY_BYTES_MAX, b" " * (BODY_BYTES_MAX + 1), b'"' + b"x" * 400_000 + b'"',
    ]  # fmt: skip
    lines = [good, good + b"\n", b"%s\n%s" % (good, good), b"\n%s" % good, b"%s%s" % (good, good), b"{", b"{}\n{", b""]
    cloud = [good, good.replace(b"}", b',"source":"x","specversion":"1.0"}'), b"[{}]"]
    return [
        *(request_of(body) for body in bodies),
        *(request_of(body, kind=b"application/x-ndjson") for body in lines),
        *(request_of(body, kind=b"application/cloudevents-batch+json") for body in cloud),
    ]
