"""Customers' usage from sums that are kept by the part of the table from which they were read.

A question reads only the parts that its customer was not asked about before, and mostly there are few: blocks that came
since, and what merges made of them. Late events, corrections and repairs all come as other parts.

    read    the customers' rows, but for the parts whose sums are kept
    look    which parts there are now. If those that were left out are there still, then they were there when the others
            were read: kept sums and those just read are one snapshot, taken after the question was asked
    keep    the sums of parts that an earlier look has shown as well, those without a row of the customer too

Where a part is gone meanwhile, its rows are read with the next try. Where all parts are known, a look is all it takes.
"""

from __future__ import annotations

from collections import OrderedDict, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import chain
from sys import intern
from threading import Lock
from typing import Any, Final

from clickhouse.bucket_sql import parts_sql
from clickhouse.client import UsageStore
from clickhouse.errors import UsageStoreError
from clickhouse.parts_seen import Parts, look_at_parts, parts_tell, there_still
from clickhouse.report import ROWS_MAX, UsageQuestion, bound
from clickhouse.row_sums import Bucket, Sum, added_up

# Of all customers together; a row takes half a kilobyte to one, and what is known of parts as much as ten.
KEPT_ROWS_MAX: Final = 100_000
ROWS_OF_PARTS: Final = 10
# Customers with more, as by minute, are read anew each time.
ROWS_EACH_MAX: Final = 5_000
# Merges may end while parts are read; who meets them this often is asked about in another way.
TRIES_MAX: Final = 4
# Parts of so many rows are read for those customers alone whose sums of them are missing.
LARGE_ROWS: Final = 200_000
# So many names are sent along; the smallest of more parts are read again.
NAMES_MAX: Final = 500

Customer = tuple[str, str]
Rows = Sequence[tuple[Bucket, Sum]]
ByPart = Mapping[str, Rows]
Sums = dict[Bucket, Sum]
Read = dict[Customer, dict[str, list[tuple[Bucket, Sum]]]]


@dataclass(frozen=True, slots=True)
class Kept:
    """All rows of a customer in some parts, most of which have none; and what they add up to, if that was asked."""

    parts: Parts
    rows: ByPart
    total: Sums | None = None

    def within(self, seen: Parts) -> Kept:
        """What is known of the parts that a look shows."""
        names = there_still(self.parts, seen)
        own = {name: rows for name, rows in self.rows.items() if name in names}
        return Kept({name: seen[name] for name in names}, own, self.total if len(own) == len(self.rows) else None)

    @property
    def row_count(self) -> int:
        """How many rows it holds, or takes as much as."""
        return sum(map(len, self.rows.values())) + len(self.total or ()) + ROWS_OF_PARTS

    def with_rows(self, read: ByPart) -> Sums:
        """What these rows and some of other parts add up to."""
        new = chain.from_iterable(rows for name, rows in read.items() if name not in self.parts)
        if self.total is not None:
            return added_up(chain(self.total.items(), new))
        return added_up(chain(chain.from_iterable(self.rows.values()), new))


NOTHING: Final = Kept({}, {})


class KeptUsage:
    """May be shared by threads."""

    def __init__(self, store: UsageStore, *, kept_rows_max: int = KEPT_ROWS_MAX) -> None:
        self._store = store
        self._kept_rows_max = kept_rows_max
        self._lock = Lock()
        self._kept: OrderedDict[tuple[UsageQuestion, Customer], Kept] = OrderedDict()
        self._kept_rows = 0
        self._tells: bool | None = None
        self._looked: Parts = {}

    def of_each(self, form: UsageQuestion, customers: Sequence[Customer]) -> dict[Customer, Sums]:
        """The sums of some customers as if nothing were restated; ``restated`` of a sum says if it was.

        ``form`` names no merchant and no customer, and its limit is not heeded. Who is missing from the answer must be
        asked about in another way. Raises ``Transient``.
        """
        if self._tells is None:
            self._tells = parts_tell(self._store)
        if not self._tells:
            return {}
        form = replace(form, limit=ROWS_MAX)
        answers: dict[Customer, Sums] = {}
        # An old look says only what is known. What is answered goes by looks that follow the question.
        seen, since_asked = self._looked, False
        for _ in range(TRIES_MAX):
            known = {customer: self._known(form, customer, seen) for customer in customers if customer not in answers}
            complete = all(len(one.parts) == len(seen) for one in known.values())
            if complete and not since_asked:
                seen, since_asked = self._look(), True
                continue
            read = {} if complete else self._read(form, known, seen)
            if read is None:
                break
            later = seen if complete else self._look()
            both = there_still(seen, later)
            # One mapping for all of them.
            shown = {name: later[name] for name in both}
            for customer, one in known.items():
                if one.rows.keys() <= both:
                    answer = answers[customer] = one.with_rows(read.get(customer, {}))
                    rows = {**read.get(customer, {}), **one.rows}
                    own = {name: told for name, told in rows.items() if name in both}
                    self._keep(form, customer, Kept(shown, own, answer if len(own) == len(rows) else None))
            seen, since_asked = later, True
        return answers

    def _look(self) -> Parts:
        before = self._looked
        # The same objects as before: what is kept of thousands of customers names them.
        now = look_at_parts(self._store).items()
        parts = {name: before[name] if before.get(name) == told else told for name, told in now}
        self._looked = parts
        return parts

    def _known(self, form: UsageQuestion, customer: Customer, seen: Parts) -> Kept:
        with self._lock:
            kept = self._kept.get((form, customer), NOTHING)
        return kept.within(seen)

    def _keep(self, form: UsageQuestion, customer: Customer, kept: Kept) -> None:
        with self._lock:
            before = self._kept.pop((form, customer), None)
            self._kept_rows -= before.row_count if before else 0
            if kept.row_count <= ROWS_EACH_MAX:
                self._kept[form, customer] = kept
                self._kept_rows += kept.row_count
            while self._kept_rows > self._kept_rows_max:
                self._kept_rows -= self._kept.popitem(last=False)[1].row_count

    def _read(self, form: UsageQuestion, known: Mapping[Customer, Kept], seen: Parts) -> Read | None:
        """The rows of customers by part, but for parts that are known; None where a sum does not fit."""
        large = {name for name, part in seen.items() if part.rows >= LARGE_ROWS}
        alike: dict[frozenset[str], list[Customer]] = defaultdict(list)
        for customer, one in known.items():
            alike[frozenset(large.difference(one.parts))].append(customer)
        found: Read = {}
        for customers in alike.values():
            left_out = frozenset.intersection(*(frozenset(known[customer].parts) for customer in customers))
            names = sorted(left_out, key=lambda name: -seen[name].rows)[:NAMES_MAX]
            try:
                rows = read_rows(self._store, form, customers, names)
            except UsageStoreError as error:
                # Of rows, perhaps, that count no longer.
                if error.name != "DECIMAL_OVERFLOW":
                    raise
                return None
            for customer, part, bucket, summed in rows:
                found.setdefault(customer, {}).setdefault(part, []).append((bucket, summed))
        return found


def read_rows(
    store: UsageStore, form: UsageQuestion, customers: Sequence[Customer], left_out: Sequence[str]
) -> list[tuple[Customer, str, Bucket, Sum]]:
    """The rows of customers in all parts but some."""
    merchants, ids = (tuple(sorted(set(names))) for names in zip(*customers, strict=True))
    filters, parameters = bound(replace(form, merchant_ids=merchants, customer_ids=ids))
    sql = parts_sql(form.grain, filters, by_group=form.by_group, known=bool(left_out))
    told = {name: value for name, value in (parameters | {"known": list(left_out)}).items() if f"{{{name}:" in sql}
    asked = set(customers)
    # Of several merchants and customers, each is found with each.
    return [read_row(row) for row in store.query_frame(sql, told).iter_rows() if row[1:3] in asked]


def read_row(row: tuple[Any, ...]) -> tuple[Customer, str, Bucket, Sum]:
    """A row of ``parts_sql``."""
    part, merchant_id, customer_id, subject, meter_id, meter, aggregation, starts_at, group_key, *sums = row
    events, total, least, most, newest, restated = sums
    # Each name once, however many rows are kept.
    names = (intern(name) for name in (group_key, meter_id, aggregation))
    bucket = Bucket(intern(subject), intern(meter), starts_at, *names)
    return (merchant_id, customer_id), part, bucket, Sum(events, total, least, most, tuple(newest.values()), restated)
