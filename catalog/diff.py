"""What a document would change, and what stands against it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection

from catalog import customers, merchants, meters, overrides, plans, subscriptions
from catalog.change import Change, Known, compare
from catalog.declaration import (
    CustomerDeclaration,
    Declaration,
    MerchantDeclaration,
    MeterDeclaration,
    PlanDeclaration,
    SubscriptionDeclaration,
)
from catalog.overrides import Override
from catalog.plans import PlanPrice


@dataclass(frozen=True, slots=True)
class Books:
    """What the books hold of one merchant now, each kind by the name that a file uses."""

    merchant: Mapping[str, Known[MerchantDeclaration]] = field(default_factory=dict)
    meters: Mapping[str, Known[MeterDeclaration]] = field(default_factory=dict)
    plans: Mapping[str, Known[PlanDeclaration]] = field(default_factory=dict)
    prices: Mapping[str, Known[PlanPrice]] = field(default_factory=dict)
    customers: Mapping[str, Known[CustomerDeclaration]] = field(default_factory=dict)
    subscriptions: Mapping[str, Known[SubscriptionDeclaration]] = field(default_factory=dict)
    overrides: Mapping[str, Known[Override]] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Diff:
    """All changes of one document, in the order in which they are written, and how much stays as it is."""

    declaration: Declaration = field(repr=False)
    merchants: tuple[Change[MerchantDeclaration], ...] = ()
    meters: tuple[Change[MeterDeclaration], ...] = ()
    plans: tuple[Change[PlanDeclaration], ...] = ()
    prices: tuple[Change[PlanPrice], ...] = ()
    customers: tuple[Change[CustomerDeclaration], ...] = ()
    subscriptions: tuple[Change[SubscriptionDeclaration], ...] = ()
    overrides: tuple[Change[Override], ...] = ()

    @property
    def changes(self) -> tuple[Change[Any], ...]:
        """All of them in one row."""
        sold = self.merchants + self.meters + self.plans + self.prices
        return sold + self.customers + self.subscriptions + self.overrides

    @property
    def unchanged(self) -> int:
        """How many declared things are in the books just so."""
        declared = self.declaration
        prices = sum(len(plan.prices) for plan in declared.plans)
        prices += sum(len(wish.prices) for wish in declared.subscriptions)
        lists = (declared.meters, declared.plans, declared.customers, declared.subscriptions)
        return 1 + prices + sum(map(len, lists)) - len(self.changes)


def load_books(connection: Connection, merchant_code: str) -> Books:
    """Read all that a document of this merchant can touch."""
    merchant = merchants.load_merchant(connection, merchant_code)
    if not merchant:
        return Books()
    merchant_id = merchant[merchant_code].row_id
    running = subscriptions.load_subscriptions(connection, merchant_id)
    names = {known.row_id: code for code, known in running.items()}
    return Books(
        merchant,
        meters.load_meters(connection, merchant_id),
        plans.load_plans(connection, merchant_id),
        plans.load_prices(connection, merchant_id),
        customers.load_customers(connection, merchant_id),
        running,
        overrides.load_overrides(connection, merchant_id, names),
    )


def diff_document(declaration: Declaration, books: Books) -> Diff:
    """What must be written for the books to say what the document says; what it does not mention stays."""
    prices: list[Change[PlanPrice]] = []
    for index, plan in enumerate(declaration.plans):
        declared = [PlanPrice(plan.code, price) for price in plan.prices]
        prices += compare(plans.price_naming(index), declared, books.prices)
    special: list[Change[Override]] = []
    for index, wish in enumerate(declaration.subscriptions):
        if wish.prices:
            special += compare(overrides.override_naming(index), overrides.overrides_of(wish), books.overrides)
    return Diff(
        declaration,
        tuple(compare(merchants.NAMING, [declaration.merchant], books.merchant)),
        tuple(compare(meters.NAMING, declaration.meters, books.meters)),
        tuple(compare(plans.PLAN_NAMING, declaration.plans, books.plans)),
        tuple(prices),
        tuple(compare(customers.NAMING, declaration.customers, books.customers)),
        tuple(compare(subscriptions.NAMING, declaration.subscriptions, books.subscriptions)),
        tuple(special),
    )
