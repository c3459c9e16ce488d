"""Block tiers: whole blocks, tier by tier or all at the tier reached."""

from __future__ import annotations

from tests.rating.models.cases import check_table

TIERS = [
    {"max_blocks": "2", "block_size": "10", "block_price": "5"},
    {"max_blocks": "3", "block_size": "0.5", "block_price": "1"},
    {"max_blocks": None, "block_size": "100", "block_price": "30"},
]
GRADUATED = """
    quantity        | amount
    0               | 0
    0.000000000001  | 5
    10              | 5
    20              | 10
    20.000000000001 | 11          # the third block is the next tier's
    21.5            | 13
    21.6            | 43
    121.5           | 43
    121.500000000001 | 73
    -9              | 0
    -25             | -10
"""
VOLUME = """
    quantity        | amount
    20              | 10
    20.000000000001 | 41          # 41 blocks of 0.5
    21.5            | 43
    21.6            | 30          # one block of 100
    101             | 60
    -25             | -10
"""


def test_blocks_are_charged_tier_by_tier() -> None:
    """At 0, bounds, just above them and negative; the size of a block counts."""
    check_table({"model": "block_tiers", "mode": "graduated", "tiers": TIERS}, GRADUATED)


def test_all_blocks_are_charged_at_the_tier_reached() -> None:
    """The tier's own size counts the blocks."""
    check_table({"model": "block_tiers", "mode": "volume", "tiers": TIERS}, VOLUME)
