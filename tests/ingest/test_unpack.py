"""Decompression within bounds."""

from __future__ import annotations

import gzip
from collections.abc import Callable

import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Refused
from ingest.unpack import Encoding, unpack

PACK: dict[str, Callable[[bytes], bytes]] = {"gzip": gzip.compress, "zstd": zstandard.compress, "identity": bytes}


@given(st.binary(max_size=2000), st.sampled_from(["identity", "gzip", "zstd"]))
def test_what_was_packed_comes_out(data: bytes, encoding: Encoding) -> None:
    """In one member or frame, or in two."""
    packed = PACK[encoding](data)

    assert b"".join(unpack(packed, encoding, 10_000)) == data
    assert b"".join(unpack(packed + packed, encoding, 10_000)) == data + data


@pytest.mark.parametrize("encoding", ["gzip", "zstd"])
def test_the_cap_is_exact(encoding: Encoding) -> None:
    """Up to it is fine, one byte more is 413."""
    packed = PACK[encoding](b"x" * 1_000_000)

    assert len(b"".join(unpack(packed, encoding, 1_000_000))) == 1_000_000
    with pytest.raises(Refused) as refused:
        list(unpack(packed, encoding, 999_999))
    assert refused.value.status == 413


@given(st.binary(min_size=1, max_size=200), st.sampled_from(["gzip", "zstd"]), st.integers(1, 300))
def test_cut_or_wrong_data_is_refused(data: bytes, encoding: Encoding, cut: int) -> None:
    """400, whatever the bytes are; nothing is passed on as if it were whole."""
    packed = PACK[encoding](data)
    short = packed[: max(1, len(packed) - cut)]

    with pytest.raises(Refused) as refused:
        list(unpack(short, encoding, 10_000))

    assert refused.value.code == "encoding_broken"
