from __future__ import annotations

from catalog.document import read_catalog
from runtime.traffic.catalog_text import catalog_documents
from runtime.traffic.meters import METERS
from tests.runtime.traffic.plans import small_plan


def test_the_catalog_is_read_without_a_fault_and_declares_everything() -> None:
    """All merchants, each with all meters, prices, customers and subscriptions."""
    plan = small_plan(merchants=7, customers=5)
    declared = read_catalog("---\n".join(catalog_documents(plan)).encode())
    assert [found.merchant.code for found in declared] == [plan.merchant_code(index) for index in range(7)]
    for found in declared:
        assert [meter.code for meter in found.meters] == [meter.code for meter in METERS]
        assert len(found.plans[0].prices) == len(METERS)
        assert len(found.customers) == len(found.subscriptions) == 5
    assert [found.plans[0].currency for found in declared] == ["USD", "EUR", "JPY", "GBP", "KWD", "USD", "EUR"]
