"""What questions about usage ask the catalog, remembered: it seldom changes, and looking costs as much as answering."""

from __future__ import annotations

from collections.abc import Sequence
from threading import Lock

from sqlalchemy import Engine

from catalog.find_customers import counts_distinct, find_customer_ids
from core.clock import Clock
from core.db import transaction

CUSTOMERS_MAX = 100_000
MERCHANTS_MAX = 10_000
# How long a merchant's first meter of distinct values may go unnoticed; its questions are then asked twice.
DISTINCT_FOR_S = 10.0


class Remembered:
    """May be shared by threads."""

    def __init__(self, books: Engine, clock: Clock) -> None:
        self._books = books
        self._clock = clock
        self._lock = Lock()
        self._ids: dict[tuple[str, str], str] = {}
        self._distinct: dict[tuple[str, tuple[str, ...]], tuple[float, bool]] = {}

    def customer_ids(self, merchant_id: str, subjects: Sequence[str]) -> dict[str, str]:
        """The ids behind a merchant's keys of customers; keys that nobody has are left out.

        A key keeps its id for ever. That nobody has a key is not remembered.
        """
        with self._lock:
            known = {subject: self._ids.get((merchant_id, subject), "") for subject in subjects}
        missing = [subject for subject, customer_id in known.items() if not customer_id]
        if missing:
            with transaction(self._books) as connection:
                found = find_customer_ids(connection, merchant_id, missing)
            known |= found
            with self._lock:
                if len(self._ids) + len(found) > CUSTOMERS_MAX:
                    self._ids.clear()
                self._ids |= {(merchant_id, subject): customer_id for subject, customer_id in found.items()}
        return {subject: customer_id for subject, customer_id in known.items() if customer_id}

    def counts_distinct(self, merchant_id: str, codes: tuple[str, ...]) -> bool:
        """Whether one of a merchant's meters counted distinct values a moment ago."""
        now_s = self._clock.steady_s()
        with self._lock:
            asked_s, said = self._distinct.get((merchant_id, codes), (-DISTINCT_FOR_S, False))
        if now_s - asked_s < DISTINCT_FOR_S:
            return said
        with transaction(self._books) as connection:
            said = counts_distinct(connection, merchant_id, codes)
        with self._lock:
            if len(self._distinct) >= MERCHANTS_MAX:
                self._distinct.clear()
            self._distinct[merchant_id, codes] = (now_s, said)
        return said
