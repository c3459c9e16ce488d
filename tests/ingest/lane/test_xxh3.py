"""The hashes of the fast lane are the library's."""

from __future__ import annotations

import numpy as np
import pytest
import xxhash

from ingest.lane.text import bytes_of
from ingest.lane.xxh3 import hash64, hash128

SIZES = [*range(4, 600), 1023, 1024, 1025, 1088, 1089, 2048, 2049, 5000]


@pytest.mark.filterwarnings("ignore:overflow encountered")
def test_every_length_has_the_hash_of_the_library() -> None:
    """Whatever lies behind the text."""
    draws = np.random.default_rng(1)
    room = bytearray(8_000)
    text = bytes_of(room)
    for size in SIZES:
        text[:] = draws.integers(0, 256, len(text))
        content = text[:size].tobytes()
        assert int(hash64(text, size)) == xxhash.xxh3_64_intdigest(content)
        if size <= 240:
            low, high = hash128(text, size)
            assert int(high) << 64 | int(low) == xxhash.xxh3_128_intdigest(content)
