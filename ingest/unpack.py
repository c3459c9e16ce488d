"""Decompression in bounded steps that stop at a cap, whatever the packed bytes claim."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

import pyarrow as pa

from core.errors import Refused

Encoding = Literal["identity", "gzip", "zstd"]

# Output comes in steps of this size, so that a bomb is noticed long before memory is.
STEP_BYTES = 256 * 1024


def unpack(packed: bytes, encoding: Encoding, bytes_max: int) -> Iterator[bytes]:
    """Yield what ``packed`` unfolds to, step by step.

    Raises ``Refused``: 413 as soon as more than ``bytes_max`` came out, 400 when the data is broken or cut short.
    """
    if encoding == "identity":
        yield packed
        return
    room = bytes_max
    try:
        with pa.CompressedInputStream(pa.BufferReader(packed), encoding) as stream:
            while step := stream.read(min(STEP_BYTES, room + 1)):
                room -= len(step)
                if room < 0:
                    raise Refused("body_too_large", "the body is too large once decompressed: send it in parts", 413)
                yield step
    except OSError as error:
        raise Refused("encoding_broken", f"the body is not valid {encoding}: {error}"[:200], 400) from None
