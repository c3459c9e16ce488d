"""Every aggregation, from requests to charge lines and views, equals what plain decimals say of the raw bodies."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import Engine

from clickhouse.client import UsageStore
from tests.rating.aggregations.check import SHOWN, check
from tests.rating.month import Month

EVENTS = 30_000


@pytest.mark.timeout(600)
def test_every_meter_equals_the_oracle(books: Engine, usage_store: UsageStore, tmp_path: Path) -> None:
    """Repeats, conflicts, late, wrong and unknown events among them; `make test-aggregations` sends three million."""
    compared, expected = check(Month(books, usage_store), tmp_path, EVENTS, lambda _step: None)

    assert compared.differences[:SHOWN] == []
    assert EVENTS * 0.95 < expected.events < EVENTS
    assert {kind: count for kind, count in compared.used.items() if count < 100} == {}
