"""One customer's usage, asked for by many at once: questions of the same form are asked as one.

Planning a question costs the engine more than reading a customer's month does, and ten customers' months cost little
more than one's. What was read is kept by part (``clickhouse.kept_usage``), so that the next question reads what is new.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.kept_usage import KeptUsage
from clickhouse.report import UsageQuestion, plainly, usage_by, whole_minute
from clickhouse.row_sums import Bucket, Sum, fits, quantity
from core.gather import Gathering

TOGETHER_MAX = 100
# About what a client needs to read an answer and to ask again.
LINGER_S = 0.004
Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Owner:
    """Whose usage: a merchant's customer, by its id and by the key that the merchant gave it."""

    merchant_id: str
    customer_id: str
    subject: str


class SharedUsage:
    """``usage_by`` for one customer; may be shared by threads. What differs between them, ``Owner`` says."""

    def __init__(self, store: UsageStore) -> None:
        self._store = store
        self._kept = KeptUsage(store)
        self._gathering: Gathering[UsageQuestion, Owner, Sequence[Row]] = Gathering(
            self.of_each, items_max=TOGETHER_MAX, linger_s=LINGER_S
        )

    def usage_by(self, form: UsageQuestion, owner: Owner) -> Sequence[Row]:
        """The rows that answer a question that names no merchant and no customer, for one customer."""
        assert not (form.merchant_ids or form.customer_ids or form.subjects), "the owner says whose usage it is"
        return self._gathering.ask(form, owner)

    def of_each(self, form: UsageQuestion, owners: Sequence[Owner]) -> dict[Owner, Sequence[Row]]:
        """The rows that answer a question for each of some customers, from sums that are kept where they tell it."""
        answers: dict[Owner, Sequence[Row]] = {}
        if not form.distinct:
            customers = list({(owner.merchant_id, owner.customer_id): None for owner in owners})
            sums = self._kept.of_each(form, customers)
            for owner in owners:
                own = sums.get((owner.merchant_id, owner.customer_id))
                if own is not None and fits(own):
                    answers[owner] = told(form, owner, own)
                elif own is not None:
                    answers[owner] = usage_by(self._store, of_owner(form, owner)).to_dicts()
        left = [owner for owner in owners if owner not in answers]
        if left:
            answers |= {owner: rows.to_dicts() for owner, rows in usage_of_each(self._store, form, left).items()}
        return answers


def told(form: UsageQuestion, owner: Owner, sums: Mapping[Bucket, Sum]) -> list[Row]:
    """A customer's sums as ``usage_by`` answers."""
    own = sorted(bucket for bucket in sums if bucket.subject == owner.subject)[: form.limit]
    since = datetime.fromisoformat(whole_minute(form.since)).replace(tzinfo=UTC)
    return [
        {
            "merchant_id": owner.merchant_id,
            "customer_id": owner.customer_id,
            "subject": bucket.subject,
            "meter_id": bucket.meter_id,
            "meter": bucket.meter,
            "aggregation": bucket.aggregation,
            "starts_at": since if form.grain == "total" else bucket.starts_at,
            "group_key": bucket.group_key,
            "events": sums[bucket].events,
            "quantity": quantity(bucket.aggregation, sums[bucket]),
        }
        for bucket in own
    ]


def usage_of_each(store: UsageStore, form: UsageQuestion, owners: Sequence[Owner]) -> dict[Owner, pl.DataFrame]:
    """A question's answer for each of some customers. Who was corrected is asked about alone."""
    merchants = tuple({owner.merchant_id: None for owner in owners})
    customers = tuple({owner.customer_id: None for owner in owners})
    asked = replace(form, merchant_ids=merchants, customer_ids=customers)
    found = plainly(store, asked, values=form.distinct, each=True)
    if found is None:
        return {owner: usage_by(store, of_owner(form, owner)) for owner in owners}
    return {owner: picked(store, form, owner, found) for owner in owners}


def picked(store: UsageStore, form: UsageQuestion, owner: Owner, found: pl.DataFrame) -> pl.DataFrame:
    """One customer's rows, or its own answer if they are not right."""
    rows = found.filter(
        (pl.col("customer_id") == owner.customer_id) & (pl.col("merchant_id") == owner.merchant_id),
    )
    if rows["unfit"].max():
        return usage_by(store, of_owner(form, owner))
    return rows.filter(pl.col("subject") == owner.subject).drop("unfit")


def of_owner(form: UsageQuestion, owner: Owner) -> UsageQuestion:
    """The question of one customer alone."""
    return replace(
        form, merchant_ids=(owner.merchant_id,), customer_ids=(owner.customer_id,), subjects=(owner.subject,)
    )
