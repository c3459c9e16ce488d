from __future__ import annotations

from hashlib import sha256

from tests.checker.books import input_hashes

SHARED = "met_1 tokens sum pri_1 matrix USD 1698796800000000 1701388800000000"
PRICE = {"unit_price": "1", "model": "matrix"}
WRITTEN = '{"model":"matrix","unit_price":"1"}'
INPUTS = "0f" * 32
# The texts as docs/rating.md has them, by the rules of today and of before.
OF_ALL = sha256(f"millrace-rating-2 mer_1 {SHARED} {WRITTEN}".replace(" ", "\x1f").encode()).hexdigest()
TEXTS = (
    f"{OF_ALL} sub_1 cus_1 2.500000000000",
    f"millrace-rating-1 mer_1 sub_1 cus_1 {SHARED} 2.500000000000 {WRITTEN}",
)


def hashes_of(texts: tuple[str, ...]) -> tuple[str, ...]:
    """As ``sha256sum`` has them."""
    return tuple(sha256(text.replace(" ", "\x1f").encode()).hexdigest() for text in texts)


def test_lines_of_today_and_of_before_are_checked_by_their_own_rules() -> None:
    """Whatever the order of the price's names where it is kept."""
    row = ("mer_1", "sub_1", "cus_1", *SHARED.split(), "2.500000000000", PRICE, [{"tier": 1, "amount": "2.5"}])

    assert input_hashes(row) == hashes_of(TEXTS)


def test_detail_that_a_line_was_charged_by_goes_under_both() -> None:
    """As its hash, the last of all fields."""
    tiers = [{"tier": 0, "label": "inputs", "group": INPUTS, "amount": "0"}, {"tier": 1, "amount": "2.5"}]
    row = ("mer_1", "sub_1", "cus_1", *SHARED.split(), "2.500000000000", PRICE, tiers)

    assert input_hashes(row) == hashes_of(tuple(f"{text} {INPUTS}" for text in TEXTS))
