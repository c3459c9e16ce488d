"""XXH3, 64 and 128 bits, without a seed: kernels of the published algorithm.

https://github.com/Cyan4973/xxHash/blob/dev/doc/xxhash_spec.md. Texts are at least 4 bytes long; the 128-bit form is for
up to 240. Little-endian processors only.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from core.compiled import compiled, eight_at, lean
from ingest.lane.text import Bytes, U

LONG_FROM = 240
SECRET = bytes.fromhex(
    "b8fe6c3923a44bbe7c01812cf721ad1cded46de9839097db7240a4a4b7b3671fcb79e64eccc0e578825ad07dccff7221"
    "b8084674f743248ee03590e6813a264c3c2852bb91c300cb88d0658b1b532ea371644897a20df94e3819ef46a9deacd8"
    "a8fa763fe39c343ff9dcbbc7c70b4f1d8a51e04bcdb45931c89f7ec9d9787364eac5ac8334d3ebc3c581a0fffa1363eb"
    "170ddd51b7f0da49d316552629d4689e2b16be587d47a1fc8ff8b8d17ad031ce45cb3a8f95160428afd7fbcabb4b407e"
)
assert len(SECRET) == 192, "the secret has 192 bytes"
# The secret's eight bytes at each of its offsets.
KEYS = np.array([int.from_bytes(SECRET[i : i + 8], "little") for i in range(185)], dtype=np.uint64)

LOW_32 = U(0xFFFFFFFF)
P32_1, P32_2, P32_3 = U(0x9E3779B1), U(0x85EBCA77), U(0xC2B2AE3D)
P1, P2, P3 = U(0x9E3779B185EBCA87), U(0xC2B2AE3D27D4EB4F), U(0x165667B19E3779F9)
P4, P5 = U(0x85EBCA77C2B2AE63), U(0x27D4EB2F165667C5)
MX1, MX2 = U(0x165667919E3779F9), U(0x9FB21C651E98DF25)
START = np.array([P32_3, P1, P2, P3, P4, P32_2, P5, P32_1], dtype=np.uint64)


@lean
def read32(text: Bytes, at: int) -> np.uint64:
    """Four bytes at any offset."""
    return eight_at(text, at) & LOW_32


@lean
def multiply(a: np.uint64, b: np.uint64) -> tuple[np.uint64, np.uint64]:
    """The low and the high half of a product."""
    a_low, a_high, b_low, b_high = a & LOW_32, a >> U(32), b & LOW_32, b >> U(32)
    low, cross_1, cross_2 = a_low * b_low, a_high * b_low, a_low * b_high
    middle = (low >> U(32)) + (cross_1 & LOW_32) + cross_2
    return a * b, a_high * b_high + (cross_1 >> U(32)) + (middle >> U(32))


@lean
def fold(a: np.uint64, b: np.uint64) -> np.uint64:
    """Both halves of a product, in one."""
    low, high = multiply(a, b)
    return low ^ high


@lean
def avalanche(h: np.uint64) -> np.uint64:
    """The last step of most lengths."""
    h ^= h >> U(37)
    h *= MX1
    return h ^ (h >> U(32))


@lean
def swap(h: np.uint64) -> np.uint64:
    """The bytes the other way round."""
    h = ((h & U(0x00FF00FF00FF00FF)) << U(8)) | ((h >> U(8)) & U(0x00FF00FF00FF00FF))
    h = ((h & U(0x0000FFFF0000FFFF)) << U(16)) | ((h >> U(16)) & U(0x0000FFFF0000FFFF))
    return (h << U(32)) | (h >> U(32))


@lean
def turn(h: np.uint64, by: np.uint64) -> np.uint64:
    """Bits rotated to the left."""
    return (h << by) | (h >> (U(64) - by))


@lean
def mix16(text: Bytes, at: int, key: int) -> np.uint64:
    """Sixteen bytes with sixteen of the secret."""
    return fold(eight_at(text, at) ^ KEYS[key], eight_at(text, at + 8) ^ KEYS[key + 8])


@lean
def hash64(text: Bytes, size: int) -> np.uint64:
    """XXH3-64 of the first ``size`` bytes."""
    if size > LONG_FROM:
        return hash64_long(text, size)
    length = U(size)
    if size <= 8:
        h = (read32(text, size - 4) + (read32(text, 0) << U(32))) ^ KEYS[8] ^ KEYS[16]
        h ^= turn(h, U(49)) ^ turn(h, U(24))
        h *= MX2
        h ^= (h >> U(35)) + length
        h *= MX2
        return U(h ^ (h >> U(28)))
    if size <= 16:
        low = eight_at(text, 0) ^ KEYS[24] ^ KEYS[32]
        high = eight_at(text, size - 8) ^ KEYS[40] ^ KEYS[48]
        return avalanche(length + swap(low) + high + fold(low, high))
    h = length * P1
    if size <= 128:
        for i in range((size - 1) // 32, -1, -1):
            h += mix16(text, 16 * i, 32 * i)
            h += mix16(text, size - 16 * (i + 1), 32 * i + 16)
        return avalanche(h)
    for i in range(8):
        h += mix16(text, 16 * i, 16 * i)
    h = avalanche(h)
    for i in range(8, size // 16):
        h += mix16(text, 16 * i, 16 * (i - 8) + 3)
    return avalanche(h + mix16(text, size - 16, 119))


@lean
def stripe(sums: npt.NDArray[np.uint64], text: Bytes, at: int, key: int) -> None:
    """Add 64 bytes to the eight sums."""
    for i in range(8):
        data = eight_at(text, at + 8 * i)
        keyed = data ^ KEYS[key + 8 * i]
        sums[i ^ 1] += data
        sums[i] += (keyed & LOW_32) * (keyed >> U(32))


@compiled
def hash64_long(text: Bytes, size: int) -> np.uint64:
    """XXH3-64 of more than 240 bytes."""
    sums = START.copy()
    stripes = (size - 1) // 64
    for i in range(stripes):
        stripe(sums, text, 64 * i, 8 * (i % 16))
        if i % 16 == 15:
            for j in range(8):
                sums[j] = (sums[j] ^ (sums[j] >> U(47)) ^ KEYS[128 + 8 * j]) * P32_1
    stripe(sums, text, size - 64, 121)
    h = U(size) * P1
    for i in range(4):
        h += fold(sums[2 * i] ^ KEYS[11 + 16 * i], sums[2 * i + 1] ^ KEYS[19 + 16 * i])
    return avalanche(h)


@lean
def mix32(
    low: np.uint64, high: np.uint64, text: Bytes, first: int, second: int, key: int
) -> tuple[np.uint64, np.uint64]:
    """Twice sixteen bytes into a 128-bit sum."""
    low = (low + mix16(text, first, key)) ^ (eight_at(text, second) + eight_at(text, second + 8))
    high = (high + mix16(text, second, key + 16)) ^ (eight_at(text, first) + eight_at(text, first + 8))
    return low, high


@lean
def hash128_short(text: Bytes, size: int) -> tuple[np.uint64, np.uint64]:
    """XXH3-128 of 4 to 16 bytes."""
    length = U(size)
    if size <= 8:
        keyed = (read32(text, 0) + (read32(text, size - 4) << U(32))) ^ KEYS[16] ^ KEYS[24]
        low, high = multiply(keyed, P1 + (length << U(2)))
        high += low << U(1)
        low ^= high >> U(3)
        low ^= low >> U(35)
        low *= MX2
        return low ^ (low >> U(28)), avalanche(high)
    first, last = eight_at(text, 0), eight_at(text, size - 8)
    low, high = multiply(first ^ last ^ KEYS[32] ^ KEYS[40], P1)
    low += (length - U(1)) << U(54)
    last ^= KEYS[48] ^ KEYS[56]
    high += last + (last & LOW_32) * (P32_2 - U(1))
    low ^= swap(high)
    final_low, final_high = multiply(low, P2)
    return avalanche(final_low), avalanche(final_high + high * P2)


@lean
def hash128(text: Bytes, size: int) -> tuple[np.uint64, np.uint64]:
    """The low and the high half of XXH3-128 of the first ``size`` bytes, of which there are at most 240."""
    if size <= 16:
        return hash128_short(text, size)
    low, high = U(size) * P1, U(0)
    if size <= 128:
        for i in range((size - 1) // 32, -1, -1):
            low, high = mix32(low, high, text, 16 * i, size - 16 * (i + 1), 32 * i)
    else:
        for i in range(0, 128, 32):
            low, high = mix32(low, high, text, i, i + 16, i)
        low, high = avalanche(low), avalanche(high)
        for i in range(128, size - 31, 32):
            low, high = mix32(low, high, text, i, i + 16, i - 125)
        low, high = mix32(low, high, text, size - 16, size - 32, 103)
    mixed = low * P1 + high * P4 + U(size) * P2
    return avalanche(low + high), U(0) - avalanche(mixed)
