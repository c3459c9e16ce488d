"""One customer's usage, asked for by many at once: questions of the same form are asked as one.

Planning a question costs the engine more than reading a customer's month does, and ten customers' months cost little
more than one's.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import polars as pl

from clickhouse.client import UsageStore
from clickhouse.report import UsageQuestion, plainly, usage_by
from core.gather import Gathering

TOGETHER_MAX = 100
# About what a client needs to read an answer and to ask again.
LINGER_S = 0.004


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
        self._gathering: Gathering[UsageQuestion, Owner, pl.DataFrame] = Gathering(
            lambda form, owners: usage_of_each(store, form, owners), items_max=TOGETHER_MAX, linger_s=LINGER_S
        )

    def usage_by(self, form: UsageQuestion, owner: Owner) -> pl.DataFrame:
        """The answer to a question that names no merchant and no customer, for one customer."""
        assert not (form.merchant_ids or form.customer_ids or form.subjects), "the owner says whose usage it is"
        return self._gathering.ask(form, owner)


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
