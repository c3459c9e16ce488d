"""Runs the text tables of the models: a quantity and the amount that it costs, or the word ``parked``."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

from tests.rating.rows import rate_all
from tests.rating.text_table import table


def check_table(price: Mapping[str, object], cases: str) -> None:
    """Every quantity of the table costs what stands beside it, to the last digit."""
    rows = [row[:2] for row in table(cases)]

    lines = rate_all([(price, quantity) for quantity, _ in rows])

    found = [(quantity, line["amount"]) for (quantity, _), line in zip(rows, lines, strict=True)]
    assert found == [(quantity, None if amount == "parked" else Decimal(amount)) for quantity, amount in rows]
