"""Is everything that was acknowledged there, merchant by merchant? The generator's account against both stores."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Engine, text

from benchmarks.load.ledger import FATES, Account
from benchmarks.load.plan import LoadPlan
from clickhouse.client import UsageStore
from core.db import transaction

FOUND = """
    SELECT toString(merchant_id) AS merchant_id, toString(fate) AS fate, toInt64(count()) AS events
    FROM usage_events WHERE startsWith(event_id, {prefix:String}) GROUP BY merchant_id, fate
"""
MERCHANTS = text("SELECT merchant_id, code FROM merchants")


@dataclass(frozen=True, slots=True)
class Verdict:
    """``faults`` is empty when every acknowledged event is stored, a duplicate, a conflict, held or rejected."""

    acknowledged: int
    fates: dict[str, int]
    faults: list[str]

    @property
    def ok(self) -> bool:
        """Whether everything is accounted for."""
        return not self.faults

    def __str__(self) -> str:
        parts = " + ".join(f"{count:,} {fate}" for fate, count in self.fates.items())
        said = f"{self.acknowledged:,} acknowledged = {parts}"
        return said if self.ok else f"{said}; {'; '.join(self.faults)}"


def verify(books: Engine, store: UsageStore, plan: LoadPlan, account: Account, sealed: int) -> Verdict:
    """Compare; ``sealed`` is by how much the ledger's received events grew by this load."""
    found = found_by_merchant(books, store, plan)
    faults = account.faults(found)
    acknowledged, maybe = int(account.acknowledged.sum()), int(account.maybe.sum())
    if not acknowledged <= sealed <= acknowledged + maybe:
        faults.append(f"the ledger sealed {sealed:,} events, {acknowledged:,} were acknowledged")
    return Verdict(acknowledged, dict(zip(FATES, found.sum(axis=0).tolist(), strict=True)), faults)


def found_by_merchant(books: Engine, store: UsageStore, plan: LoadPlan) -> npt.NDArray[np.int64]:
    """Events of a load in ClickHouse, by merchant and fate."""
    traffic = plan.traffic(1)
    codes = {traffic.merchant_code(merchant): merchant for merchant in range(plan.merchants)}
    with transaction(books) as connection:
        places = {row.merchant_id: codes[row.code] for row in connection.execute(MERCHANTS) if row.code in codes}
    found = np.zeros((plan.merchants, len(FATES)), dtype=np.int64)
    rows = store.query_frame(FOUND, {"prefix": plan.id_prefix})
    for merchant_id, fate, events in rows.iter_rows():
        found[places[merchant_id], FATES.index(fate)] += events
    return found
