"""Questions asked as one: each is answered as if it had been asked alone."""

from __future__ import annotations

from dataclasses import replace

import pytest

from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, usage_by
from clickhouse.shared_usage import Owner, SharedUsage, of_owner, usage_of_each
from tests.clickhouse.builders import Row, window
from tests.clickhouse.test_corrections import LATER, nothing_restated, put, random_rows

OWNERS = [
    Owner("mer_0", "cus_0", "c-0"),
    Owner("mer_1", "cus_1", "c-1"),
    Owner("mer_2", "cus_0", "c-0"),
    Owner("mer_1", "cus_1", "renamed"),
    Owner("mer_1", "cus_9", "c-9"),
]
FORMS = [
    UsageQuestion(grain="total"),
    UsageQuestion(grain="minute", by_group=True, distinct=False),
    UsageQuestion(grain="day", meters=("unique_meter", "sum_meter")),
    UsageQuestion(grain="minute", limit=3),
]


@pytest.mark.parametrize("restated", ["nothing", "one customer", "everything"])
def test_each_is_answered_as_if_it_were_alone(usage_store: UsageStore, restated: str) -> None:
    """Whoever was corrected, and however a question is limited; names do not mix, nor do merchants."""
    windows, uniques = random_rows(8, 400)
    kept = windows if restated == "everything" else nothing_restated(windows)
    more: list[Row] = [window(merchant_id="mer_2", customer_id="cus_0", subject="c-0", stored_at=LATER)]
    if restated == "one customer":
        more.append(window(restates=1, stored_at=LATER, events=3))
    put(usage_store, [*kept, *more], uniques)

    shared = SharedUsage(usage_store)

    for form in [*FORMS, *(replace(form, distinct=False) for form in FORMS)]:
        wanted = {owner: usage_by(usage_store, of_owner(form, owner)) for owner in OWNERS}
        assert {owner.subject for owner, rows in wanted.items() if not rows.is_empty()} == {"c-0", "c-1"}
        # The second time mostly from what was kept.
        alone, *again = usage_of_each(usage_store, form, OWNERS), *(shared.of_each(form, OWNERS) for _ in range(2))
        for owner in OWNERS:
            assert alone[owner].equals(wanted[owner]), (form, owner)
            assert all(found[owner] == wanted[owner].to_dicts() for found in again), (form, owner)


def test_a_question_of_many_threads_names_no_customer_itself(usage_store: UsageStore) -> None:
    """Whose usage it is, the owner says alone."""
    shared = SharedUsage(usage_store)
    put(usage_store, [window()], [])

    assert shared.usage_by(FORMS[0], Owner("mer_1", "cus_1", "c-1"))[0]["events"] == 1
    with pytest.raises(AssertionError, match="owner"):
        shared.usage_by(replace(FORMS[0], subjects=("c-1",)), OWNERS[0])
