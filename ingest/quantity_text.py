"""The text of a metered value: checked, and written as a plain decimal."""

from __future__ import annotations

import re

from core.limits import QUANTITY_DIGITS_MAX
from core.quantity import parse_quantity, plain_text

# What plain_text would give back unchanged; nearly every value is.
ALREADY_PLAIN = re.compile(r"0|-?[1-9]\d{0,18}(?:\.\d{0,11}[1-9])?|-?0\.\d{0,11}[1-9]", re.ASCII)


def plain_quantity(text: str) -> str:
    """Return a quantity's text without exponent, leading or trailing zeros; raises ``BadEvent`` if it is none."""
    # Most are small whole numbers, for which the pattern is not needed.
    if text.isdecimal() and text.isascii() and text[0] != "0" and len(text) < QUANTITY_DIGITS_MAX:
        return text
    if ALREADY_PLAIN.fullmatch(text):
        return text
    return plain_text(parse_quantity(text))
