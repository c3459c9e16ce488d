"""The input hash can be worked out by anybody who has the charge line."""

from __future__ import annotations

import hashlib

from tests.rating.rows import rate_all

SHARED = (
    "millrace-rating-2",
    "mer_1",
    "met_1",
    "tokens",
    "sum",
    "pri_0",
    "per_unit",
    "USD",
    "1698796800000000",
    "1701388800000000",
    '{"model": "per_unit", "unit_price": "0.0000025"}',
)


def test_the_hash_is_sha256_of_the_documented_text() -> None:
    """The fields in their order, joined by the unit separator; those that lines share are hashed for themselves."""
    price = {"model": "per_unit", "unit_price": "0.0000025"}

    line = rate_all([(price, "18059974")])[0]

    assert line["input_hash"] == sha256_of(sha256_of(*SHARED), "sub_0", "cus_0", "18059974.000000000000")


def sha256_of(*fields: str) -> str:
    """As ``sha256sum`` has it."""
    return hashlib.sha256("\x1f".join(fields).encode()).hexdigest()
