"""The input hash can be worked out by anybody who has the charge line."""

from __future__ import annotations

import hashlib

from tests.rating.rows import rate_all


def test_the_hash_is_sha256_of_the_documented_text() -> None:
    """The fields in their order, joined by the unit separator, with instants in microseconds."""
    price = {"model": "per_unit", "unit_price": "0.0000025"}

    line = rate_all([(price, "18059974")])[0]

    text = "\x1f".join(
        [
            "millrace-rating-1",
            "mer_1",
            "sub_0",
            "cus_0",
            "met_1",
            "tokens",
            "sum",
            "pri_0",
            "per_unit",
            "USD",
            "1698796800000000",
            "1701388800000000",
            "18059974.000000000000",
            '{"model": "per_unit", "unit_price": "0.0000025"}',
        ]
    )
    assert line["input_hash"] == hashlib.sha256(text.encode()).hexdigest()
