"""Compressed bodies are unpacked however they are cut."""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable
from importlib import import_module

import pytest
import zstandard

from runtime.embedded.clickhouse.decoding import decoder_for
from runtime.embedded.clickhouse.errors import EngineError

TEXT = b"one,two,three\n" * 5000


def lz4(data: bytes) -> bytes:
    """One lz4 frame."""
    packed: bytes = import_module("lz4.frame").compress(data)
    return packed


ENCODERS: dict[str, Callable[[bytes], bytes]] = {
    "gzip": gzip.compress,
    "deflate": zlib.compress,
    "zstd": zstandard.compress,
    "lz4": lz4,
    "": bytes,
}


@pytest.mark.parametrize("encoding", ENCODERS)
@pytest.mark.parametrize("step", [1, 7, 1000, 10**9])
def test_frames_in_a_row_are_unpacked_from_any_cut(encoding: str, step: int) -> None:
    """clickhouse-connect packs each block into a frame of its own."""
    packed = ENCODERS[encoding](TEXT) + ENCODERS[encoding](b"last\n")
    decoder = decoder_for(encoding)
    pieces = [decoder.decode(packed[start : start + step]) for start in range(0, len(packed), step)]
    decoder.finish()

    assert b"".join(pieces) == TEXT + b"last\n"


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4"])
def test_a_body_that_is_cut_off_is_refused(encoding: str) -> None:
    """Half a body must not become half an insert."""
    decoder = decoder_for(encoding)
    decoder.decode(ENCODERS[encoding](TEXT)[:-10])

    with pytest.raises(EngineError, match="ends in the middle"):
        decoder.finish()


@pytest.mark.parametrize("encoding", ["gzip", "zstd", "lz4"])
def test_a_body_that_is_not_packed_is_refused(encoding: str) -> None:
    """The error names what could not be unpacked."""
    with pytest.raises(EngineError, match=encoding) as caught:
        decoder_for(encoding).decode(b"this is plain text")

    assert caught.value.code == 271


def test_an_unknown_encoding_is_refused() -> None:
    """Before anything of the body is read."""
    with pytest.raises(EngineError) as caught:
        decoder_for("snappy")

    assert caught.value.code == 89
