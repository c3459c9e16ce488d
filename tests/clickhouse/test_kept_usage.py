"""Sums kept by part: what a customer's question says, whatever parts come, merge, change and go meanwhile."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from decimal import Decimal
from itertools import pairwise
from random import Random

import polars as pl
import pytest

from clickhouse import kept_usage
from clickhouse.client import UsageStore
from clickhouse.kept_usage import KeptUsage
from clickhouse.report import UsageQuestion, usage_by
from clickhouse.shared_usage import Owner, SharedUsage, of_owner
from tests.clickhouse.builders import Row, at, window
from tests.clickhouse.test_corrections import LATER, nothing_restated, put, random_rows

OWNERS = [Owner(f"mer_{number % 2}", f"cus_{number}", f"c-{number}") for number in (0, 1, 2)]
TOTAL = UsageQuestion(grain="total", distinct=False)
FORMS = [
    TOTAL,
    UsageQuestion(grain="day", zone="Asia/Tokyo", by_group=True, distinct=False, limit=7),
    UsageQuestion(grain="hour", meters=("sum_meter", "latest_meter", "avg_meter"), distinct=False),
    UsageQuestion(grain="total", since=at("2023-11-20T12:30"), until=at("2023-11-21"), distinct=False),
]
DELETE = "ALTER TABLE usage_windows DELETE WHERE {} SETTINGS mutations_sync = 2"
MERGE = "OPTIMIZE TABLE usage_windows FINAL"
ONE = ("mer_1", "cus_1")


def plain_rows(seed: int, count: int) -> list[Row]:
    """Windows of every aggregation but distinct values, of which none restates another."""
    return [row for row in nothing_restated(random_rows(seed, count)[0]) if row["aggregation"] != "unique"]


def right(store: UsageStore, shared: SharedUsage, *forms: UsageQuestion) -> bool:
    """Whether each of some owners is answered as if nothing were kept."""
    return all(
        rows == usage_by(store, of_owner(form, owner)).to_dicts()
        for form in forms
        for owner, rows in shared.of_each(form, OWNERS).items()
    )


@pytest.mark.parametrize("seed", range(2))
def test_answers_stay_exact_while_rows_arrive_merge_are_deleted_and_restated(
    usage_store: UsageStore, seed: int
) -> None:
    """In any order, with questions between them that keep what they read."""
    chance, shared, rows = Random(seed), SharedUsage(usage_store), plain_rows(seed, 600)
    for number in range(9):
        match chance.randrange(4):
            case 0:
                usage_store.command(MERGE)
            case 1:
                usage_store.command(DELETE.format(f"cityHash64(last_key) % 9 = {number % 9}"))
            case _:
                block = [rows.pop() for _ in range(min(len(rows), chance.randrange(1, 60)))]
                put(usage_store, block, [], f"block{number}")
        assert right(usage_store, shared, *chance.sample(FORMS, 2)), number
    assert any(shared.of_each(TOTAL, OWNERS).values())
    put(usage_store, [window(restates=1, stored_at=LATER, events=3)], [], "restated")
    assert right(usage_store, shared, *FORMS)


@dataclass
class Meddler:
    """A store in which something happens just before or after a statement about windows or their parts."""

    store: UsageStore
    happens: Callable[[], None]
    when: str
    after: bool
    statements: list[str]

    def query_frame(self, sql: str, parameters: Mapping[str, object] | None = None) -> pl.DataFrame:
        """The real answer, with what happens beside it, once."""
        self.statements.append(sql)
        meets, happens = self.when in sql, self.happens
        if meets:
            self.happens = lambda: None
        if meets and not self.after:
            happens()
        found = self.store.query_frame(sql, parameters)
        if meets and self.after:
            happens()
        return found


def meddled(store: UsageStore) -> Meddler:
    """A store in which nothing happens yet."""
    return Meddler(store, lambda: None, "system.parts", False, [])


def changes(store: UsageStore) -> Iterator[Callable[[], None]]:
    """What may happen to rows: they come, parts merge, rows go, and rows go and come back under another part."""

    def repair() -> None:
        store.command(DELETE.format("block_first = 1"))
        put(store, [window(events=7, block_first=1)], [], "repaired")

    yield lambda: put(store, [window(events=100)], [], "new")
    yield lambda: store.command(MERGE)
    yield lambda: store.command(DELETE.format("events = 100"))
    yield repair


@pytest.mark.parametrize("change", range(4))
@pytest.mark.parametrize("when", ["system.parts", "FROM usage_windows"])
@pytest.mark.parametrize("after", [False, True])
def test_what_happens_between_looks_and_reads_is_counted_in_full_or_not_at_all(
    usage_store: UsageStore, change: int, when: str, after: bool
) -> None:
    """An answer is what was there at one instant after it was asked for, and the next one holds all of it."""
    store = meddled(usage_store)
    kept = KeptUsage(store)  # type: ignore[arg-type]  # all that is asked of it is there
    put(usage_store, [window(block_first=1), window(customer_id="cus_2", subject="c-2")], [], "first")
    put(usage_store, [window(events=10)], [], "second")
    for known in (False, True):
        before = events_of(usage_store)
        if known:
            kept.of_each(TOTAL, [ONE])
            put(usage_store, [window(events=1000)], [], "third")
            before = events_of(usage_store)
        store.when, store.after, store.happens = when, after, list(changes(usage_store))[change]
        told = sum(one.events for one in kept.of_each(TOTAL, [ONE])[ONE].values())

        assert told in (before, events_of(usage_store))
        again = sum(one.events for one in kept.of_each(TOTAL, [ONE])[ONE].values())
        assert again == events_of(usage_store)
        usage_store.command(DELETE.format("events IN (7, 100, 1000)"))


def events_of(store: UsageStore) -> int:
    """What is there of one customer."""
    sql = "SELECT sum(events) AS n FROM usage_windows WHERE merchant_id = 'mer_1' AND customer_id = 'cus_1'"
    return int(store.query_frame(sql)["n"][0])


def test_only_what_is_new_is_read_and_a_look_is_enough_where_nothing_is(usage_store: UsageStore) -> None:
    """Parts without a row of the customer are known as well; a customer that was not asked about reads them all."""
    store = meddled(usage_store)
    kept = KeptUsage(store)  # type: ignore[arg-type]  # as above
    put(usage_store, [window()], [], "first")
    put(usage_store, [window(customer_id="cus_2", subject="c-2")], [], "second")

    def statements(*customers: tuple[str, str]) -> list[str]:
        store.statements.clear()
        kept.of_each(TOTAL, customers)
        return ["parts" if "system.parts" in sql else "rows" for sql in store.statements if "engine" not in sql]

    assert statements(ONE) == ["parts", "rows", "parts"]
    assert statements(ONE) == ["parts"]
    put(usage_store, [window(customer_id="cus_2", subject="c-2")], [], "third")
    assert statements(ONE) == ["parts", "rows", "parts"]
    assert statements(ONE) == ["parts"]
    assert statements(("mer_1", "cus_2")) == ["rows", "parts"]
    assert statements(ONE, ("mer_1", "cus_2")) == ["parts"]


def test_a_large_part_is_read_for_those_alone_who_miss_it(
    usage_store: UsageStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others do not pay for it, and all are answered right."""
    monkeypatch.setattr(kept_usage, "LARGE_ROWS", 2)
    store = meddled(usage_store)
    kept = KeptUsage(store)  # type: ignore[arg-type]  # as above
    put(usage_store, [window(), window(), window(customer_id="cus_2", subject="c-2", events=2)], [], "large")
    kept.of_each(TOTAL, [ONE])
    put(usage_store, [window()], [], "small")
    store.statements.clear()

    found = kept.of_each(TOTAL, [ONE, ("mer_1", "cus_2")])

    assert [sum(one.events for one in sums.values()) for sums in found.values()] == [3, 2]
    assert ["_part NOT IN" in sql for sql in store.statements if "FROM usage_windows" in sql].count(True) == 1


def test_rows_that_are_kept_are_bounded(usage_store: UsageStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The longest unasked go first; a customer with too many is never kept."""
    kept = KeptUsage(usage_store, kept_rows_max=25)
    put(usage_store, [window(customer_id=f"cus_{number}") for number in range(4)], [])
    customers = [("mer_1", f"cus_{number}") for number in range(4)]
    for one, other in pairwise(customers):
        assert all(len(sums) == 1 for sums in kept.of_each(TOTAL, [one, other]).values())
    assert [customer for _, customer in kept._kept] == customers[-2:]

    monkeypatch.setattr(kept_usage, "ROWS_EACH_MAX", 10)
    assert kept.of_each(TOTAL, [customers[-1]]) and [customer for _, customer in kept._kept] == customers[-2:-1]


def test_who_cannot_be_told_from_sums_is_left_to_others(usage_store: UsageStore) -> None:
    """Sums that do not fit, and servers that are not alone in what they answer from."""
    huge = Decimal(9) * 10**25
    put(usage_store, [window(sum=huge), window(customer_id="cus_2")], [], "first")
    put(usage_store, [window(sum=huge)], [], "second")
    put(usage_store, [window(sum=-huge)], [], "third")
    shared = SharedUsage(usage_store)

    (row,) = shared.of_each(TOTAL, OWNERS)[OWNERS[1]]
    assert row["quantity"] == huge

    kept = KeptUsage(usage_store)
    put(usage_store, [window(sum=huge), window(sum=huge)], [], "fourth")
    assert kept.of_each(TOTAL, [ONE]) == {}
    usage_store.command("TRUNCATE TABLE usage_windows")
    put(usage_store, [window(sum=huge)], [], "fifth")
    usage_store.command("RENAME TABLE usage_windows TO usage_elsewhere")
    everywhere = "ENGINE = Merge(currentDatabase(), '^usage_elsewhere')"
    usage_store.command(f"CREATE TABLE usage_windows AS usage_elsewhere {everywhere}")
    assert KeptUsage(usage_store).of_each(TOTAL, [ONE]) == {}
    (row,) = SharedUsage(usage_store).of_each(replace(TOTAL, limit=1), OWNERS)[OWNERS[1]]
    assert (row["events"], row["quantity"]) == (1, huge)
