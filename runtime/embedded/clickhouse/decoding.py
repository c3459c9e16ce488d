"""Request bodies that arrive compressed, unpacked piece by piece."""

from __future__ import annotations

import zlib
from importlib import import_module
from typing import Protocol

import zstandard

from runtime.embedded.clickhouse.errors import CANNOT_DECOMPRESS, UNKNOWN_COMPRESSION_METHOD, refusal


class Decoder(Protocol):
    """Unpacks a stream; ``finish`` raises ``EngineError`` when it was cut off."""

    def decode(self, data: bytes) -> bytes:
        """What can be unpacked so far."""

    def finish(self) -> None:
        """Nothing more comes."""


class Plain:
    """A body that is not compressed."""

    def decode(self, data: bytes) -> bytes:
        """The same bytes."""
        return data

    def finish(self) -> None:
        """Nothing is left."""


class Unpacker(Protocol):
    """What the libraries' decompressors have in common."""

    @property
    def eof(self) -> bool:
        """Whether the frame is complete."""

    @property
    def unused_data(self) -> bytes:
        """What came after the frame."""

    def decompress(self, data: bytes, /) -> bytes:
        """Unpack the next bytes."""


class Frames:
    """One or many frames in a row, as clients send them block by block."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding
        self._unpacker: Unpacker | None = None

    def decode(self, data: bytes) -> bytes:
        """All that can be unpacked so far; raises ``EngineError`` for broken data."""
        pieces = []
        while data:
            if self._unpacker is None:
                self._unpacker = new_unpacker(self._encoding)
            try:
                pieces.append(self._unpacker.decompress(data))
            except (zlib.error, zstandard.ZstdError, RuntimeError, EOFError) as error:
                raise refusal(CANNOT_DECOMPRESS, f"Cannot decompress the {self._encoding} body: {error}") from None
            data = b""
            if self._unpacker.eof:
                data = self._unpacker.unused_data or b""
                self._unpacker = None
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def finish(self) -> None:
        """Make sure that the last frame was whole."""
        if self._unpacker is not None:
            raise refusal(CANNOT_DECOMPRESS, f"The {self._encoding} body ends in the middle")


def new_unpacker(encoding: str) -> Unpacker:
    """A fresh decompressor for one frame."""
    if encoding == "zstd":
        return zstandard.ZstdDecompressor().decompressobj()
    if encoding == "lz4":
        # Comes with clickhouse-connect; without type hints.
        unpacker: Unpacker = import_module("lz4.frame").LZ4FrameDecompressor()
        return unpacker
    # 47: gzip or zlib, told apart by their first bytes.
    return zlib.decompressobj(47)


def decoder_for(encoding: str) -> Decoder:
    """The decoder of a ``Content-Encoding``; raises ``EngineError`` for one that is not known here."""
    if encoding in ("", "identity"):
        return Plain()
    if encoding in ("gzip", "x-gzip", "deflate", "zstd", "lz4"):
        return Frames(encoding)
    raise refusal(UNKNOWN_COMPRESSION_METHOD, f"Unknown compression method: {encoding}")
