"""Requests as bytes: the head with room for a key, and answers as they come off a connection."""

from __future__ import annotations

from dataclasses import dataclass

CONTENT_TYPE = b"application/cloudevents-batch+json"
KEY_WIDTH = 46
HEAD_END = b"\r\n\r\n"


@dataclass(frozen=True, slots=True)
class Head:
    """The head of every request to one address; the key stands at ``key_at``."""

    text: bytes
    key_at: int


def head_of(host: str, port: int, body_bytes: int, path: str = "/v1/events") -> Head:
    """A head for bodies of one length, with blanks for the key."""
    before = b"POST %s HTTP/1.1\r\nHost: %s:%d\r\nAuthorization: Bearer " % (path.encode(), host.encode(), port)
    after = b"\r\nContent-Type: %s\r\nContent-Length: %d%s" % (CONTENT_TYPE, body_bytes, HEAD_END)
    return Head(before + b" " * KEY_WIDTH + after, len(before))


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back; ``size`` bytes of the buffer were it."""

    status: int
    body: bytes
    retry_after_s: int
    closes: bool
    size: int


def read_answer(buffer: bytes) -> Answer | None:
    """The first whole answer in a buffer, or None as long as something of it is missing."""
    end = buffer.find(HEAD_END)
    if end < 0:
        return None
    head = buffer[:end].lower()
    size = end + len(HEAD_END) + number_of(head, b"\r\ncontent-length:")
    if len(buffer) < size:
        return None
    return Answer(
        status=int(buffer[9:12]),
        body=buffer[end + len(HEAD_END) : size],
        retry_after_s=number_of(head, b"\r\nretry-after:"),
        closes=b"\r\nconnection: close" in head,
        size=size,
    )


def number_of(head: bytes, name: bytes) -> int:
    """The whole number of a header, 0 when there is none."""
    at = head.find(name)
    if at < 0:
        return 0
    return int(head[at + len(name) :].split(b"\r\n", 1)[0])
