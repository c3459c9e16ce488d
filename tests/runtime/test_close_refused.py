"""A close over a gap is refused, and one that is made all the same leaves a record."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import Engine, text

from clickhouse.client import UsageStore
from core.db import transaction
from core.errors import Conflict
from runtime.close import Completeness
from tests.rating.month import NOON, Month, merchant_yaml
from tests.runtime.hand_ledger import Ledger, stream


@pytest.fixture
def ledger(books: Engine) -> Ledger:
    """An empty ledger."""
    return Ledger(books)


@pytest.fixture
def month(books: Engine, usage_store: UsageStore) -> Month:
    """One customer with some usage."""
    made = Month(books, usage_store)
    made.sell(merchant_yaml("acme", ["a-1"]))
    made.use("a-1", "context_tokens", 1_000_000)
    return made


def runs(month: Month) -> list[tuple[Any, ...]]:
    """The runs' states and what they were claimed in spite of."""
    with transaction(month.books) as connection:
        return [tuple(row) for row in connection.execute(text("SELECT state, incomplete FROM rating_runs"))]


def test_a_close_over_a_hole_is_refused_and_writes_nothing(month: Month, ledger: Ledger) -> None:
    """It says which partition and which offsets, in its message and one by one."""
    ledger.block(0, 4)
    ledger.block(8, 9)
    ledger.stand(10)

    with pytest.raises(Conflict) as caught:
        month.close()

    assert (caught.value.code, caught.value.status) == ("period_not_complete", 409)
    assert "partition 0 has a hole: no block holds offsets 5 to 7" in caught.value.message
    assert [(problem.code, problem.field) for problem in caught.value.problems] == [("hole", "partition 0")]
    assert runs(month) == []


def test_a_dry_run_says_what_lacks_and_goes_on(month: Month, ledger: Ledger) -> None:
    """Nothing is written anyway."""
    ledger.block(3, 4)
    ledger.stand(5)

    dry = month.close(commit=False)

    assert [gap.code for gap in dry.gaps] == ["hole"]
    assert dry.drafts.invoices.height == 1


def test_who_closes_all_the_same_leaves_a_record(month: Month, ledger: Ledger) -> None:
    """The run keeps every gap; a close without gaps keeps none."""
    ledger.block(3, 4)
    ledger.stand(5)

    closed = month.close(completeness=Completeness(stream(5, 7), even_if_incomplete=True))

    ((state, kept),) = runs(month)
    assert (state, [gap["code"] for gap in kept]) == ("recorded", ["hole", "not_consumed"])
    assert (kept[1]["partition"], kept[1]["first_offset"], kept[1]["last_offset"]) == (1, 0, 6)
    assert closed.finalized == 1


def test_nothing_due_is_refused_for_nothing(month: Month, ledger: Ledger) -> None:
    """A month that is closed stays closed, whatever the stream lacks later."""
    month.close()
    ledger.block(3, 4)
    ledger.stand(5)

    again = month.close()

    assert (again.closing.rated_before, [gap.code for gap in again.gaps]) == (1, ["hole"])
    assert [kept for _, kept in runs(month)] == [None]


def test_a_run_that_was_claimed_is_finished_over_a_gap(month: Month, ledger: Ledger) -> None:
    """What it counts was decided when nothing lacked."""

    def die(step: str) -> None:
        if step == "rate":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        month.close(on_step=die)
    ledger.block(3, 4)
    ledger.stand(5)

    assert month.close().finalized == 1


def test_a_block_open_since_before_holds_the_cutoff_back(month: Month, ledger: Ledger) -> None:
    """Whoever closes over it all the same counts nothing from its time on, as the record says."""
    ledger.block(0, 4, "intent", intended_at=NOON - timedelta(hours=1))
    ledger.stand(0)

    closed = month.close(completeness=Completeness(even_if_incomplete=True))

    assert closed.closing.cutoff < NOON
    assert closed.closing.lines.height == 0
