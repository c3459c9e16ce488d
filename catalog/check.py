"""What stands against a diff: names that lead nowhere, and changes that would rewrite what was billed."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from itertools import combinations
from typing import NamedTuple

import orjson

from catalog.check_overrides import override_problems
from catalog.declaration import Declaration, PlanDeclaration
from catalog.diff import Books, Diff
from catalog.meter_fit import unfit
from catalog.overrides import BilledDays, override_conflicts
from catalog.plans import price_code
from catalog.price import currencies_of
from catalog.price_versions import version_conflicts
from catalog.subscriptions import subscription_code
from core.errors import Problem


def find_problems(declaration: Declaration, books: Books) -> Iterator[Problem]:
    """References to meters, customers and plans that neither the document nor the books have."""
    meters = {meter.code for meter in declaration.meters} | set(books.meters)
    currencies = {code: known.value.currency for code, known in books.customers.items()}
    currencies |= {customer.key: customer.currency for customer in declaration.customers}
    plans = declared_and_known_plans(declaration, books)
    payable = payable_in(declaration, books)
    for index, plan in enumerate(declaration.plans):
        for place, price in enumerate(plan.prices):
            if price.meter not in meters:
                at = f"plans[{index}].prices[{place}].meter"
                yield Problem("meter_unknown", f"there is no meter or SKU {price.meter!r}", at)
    for index, wish in enumerate(declaration.subscriptions):
        at = f"subscriptions[{index}]"
        if wish.customer not in currencies:
            yield Problem("customer_unknown", f"there is no customer {wish.customer!r}", f"{at}.customer")
        if wish.plan not in plans:
            yield Problem("plan_unknown", f"there is no plan {wish.plan!r}", f"{at}.plan")
        elif wish.customer in currencies and currencies[wish.customer] not in payable[wish.plan]:
            known = ", ".join(sorted(payable[wish.plan])) or "no one currency"
            yield Problem(
                "currency_differs",
                f"the plan is in {known}, the customer pays in {currencies[wish.customer]}",
                f"{at}.plan",
            )
    yield from unpayable(declaration, books, payable, currencies)
    yield from unfit(declaration, books)
    yield from override_problems(declaration, books, meters_sold(declaration, books))


def payable_in(declaration: Declaration, books: Books) -> dict[str, frozenset[str]]:
    """The currencies in which all prices of each plan can be paid."""
    plans = declared_and_known_plans(declaration, books)
    found = {code: frozenset({plan.currency}) for code, plan in plans.items()}
    prices = {code: (known.value.plan, known.value.price.definition) for code, known in books.prices.items()}
    prices |= {
        price_code(plan.code, price): (plan.code, price.definition)
        for plan in declaration.plans
        for price in plan.prices
    }
    by_plan: dict[str, list[frozenset[str]]] = defaultdict(list)
    for plan, text in prices.values():
        bodies = currencies_of(orjson.loads(text))
        by_plan[plan].append(found[plan] if bodies is None else frozenset(bodies))
    return found | {plan: frozenset.intersection(*sets) for plan, sets in by_plan.items()}


def unpayable(
    declaration: Declaration, books: Books, payable: Mapping[str, frozenset[str]], currencies: Mapping[str, str]
) -> Iterator[Problem]:
    """Plans with prices that a subscription in the books could not be billed by any more."""
    for index, plan in enumerate(declaration.plans):
        lost = {
            currencies[known.value.customer]
            for known in books.subscriptions.values()
            if known.value.plan == plan.code and currencies[known.value.customer] not in payable[plan.code]
        }
        if lost:
            say = f"has subscriptions that are paid in {', '.join(sorted(lost))}, and a price that says nothing in it"
            yield Problem("currency_not_priced", say, f"plans[{index}].prices")


def declared_and_known_plans(declaration: Declaration, books: Books) -> dict[str, PlanDeclaration]:
    """Plans by code as they would be afterwards, apart from prices that only the books have."""
    return {code: known.value for code, known in books.plans.items()} | {plan.code: plan for plan in declaration.plans}


def find_conflicts(diff: Diff, books: Books, billed: Collection[str], days: BilledDays) -> Iterator[Problem]:
    """Changes that are right in form, but would make old invoices wrong; ``billed`` are price ids."""
    yield from plan_conflicts(diff)
    yield from price_conflicts(diff, billed)
    yield from version_conflicts(diff, books)
    yield from override_conflicts(diff.overrides, days)
    yield from customer_conflicts(diff, books)
    yield from end_conflicts(diff)
    yield from overlaps(diff.declaration, books)


def plan_conflicts(diff: Diff) -> Iterator[Problem]:
    """A plan's currency is for ever: its prices are numbers in it."""
    for change in diff.plans:
        if change.current and change.declared.currency != change.current.value.currency:
            yield Problem(
                "plan_currency_fixed",
                f"plan {change.code} is in {change.current.value.currency}; for another currency declare a new plan",
                f"{change.path}.currency",
            )


def price_conflicts(diff: Diff, billed: Collection[str]) -> Iterator[Problem]:
    """A price behind an invoice stays, so that the invoice can always be explained and made again."""
    for change in diff.prices:
        if change.current and change.current.row_id in billed:
            yield Problem(
                "price_already_billed",
                f"price {change.code} has been billed and cannot change; declare another version of it with a 'from', "
                "the day from which it is sold, and migrate subscriptions to it with 'millrace prices migrate'",
                change.path,
            )


def customer_conflicts(diff: Diff, books: Books) -> Iterator[Problem]:
    """Zone and currency decide where periods begin and what amounts mean, so a subscription fixes them."""
    subscribed = {known.value.customer for known in books.subscriptions.values()}
    for change in diff.customers:
        if change.code not in subscribed:
            continue
        for field in change.fields:
            if field.name in ("zone", "currency"):
                yield Problem(
                    f"customer_{field.name}_fixed",
                    f"{change.code} has a subscription in {field.old}; for another {field.name} declare a new customer",
                    f"{change.path}.{field.name}",
                )


def end_conflicts(diff: Diff) -> Iterator[Problem]:
    """A subscription ends once."""
    for change in diff.subscriptions:
        if change.current and change.current.value.end:
            yield Problem(
                "subscription_end_fixed",
                f"{change.code} ends on {change.current.value.end} already",
                f"{change.path}.end",
            )


class Span(NamedTuple):
    """From when until when a subscription runs, and where the file declares it, if it does."""

    start: date
    end: date
    plan: str
    path: str
    code: str


def overlaps(declaration: Declaration, books: Books) -> Iterator[Problem]:
    """Two subscriptions of a customer that sell the same meter on the same day would bill its events twice."""
    sold = meters_sold(declaration, books)
    for spans in spans_by_customer(declaration, books).values():
        for one, two in combinations(sorted(spans), 2):
            both = sold.get(one.plan, frozenset()) & sold.get(two.plan, frozenset())
            if two.start < one.end and (both or one.plan == two.plan):
                what = f"both sell {', '.join(sorted(both))}" if both else "both are to the same plan"
                yield Problem(
                    "subscriptions_overlap",
                    f"{two.code} overlaps with {one.code}, and {what}: give the earlier one an 'end'",
                    two.path or one.path or "plans",
                )


def spans_by_customer(declaration: Declaration, books: Books) -> Mapping[str, list[Span]]:
    """All subscriptions as they would be afterwards, of customers that have several."""
    spans: dict[str, dict[str, Span]] = defaultdict(dict)
    for code, known in books.subscriptions.items():
        value = known.value
        spans[value.customer][code] = Span(value.start, value.end or date.max, value.plan, "", code)
    for index, wish in enumerate(declaration.subscriptions):
        code = subscription_code(wish)
        before = spans[wish.customer].get(code)
        end = wish.end or (before.end if before else date.max)
        spans[wish.customer][code] = Span(wish.start, end, wish.plan, f"subscriptions[{index}]", code)
    return {customer: list(found.values()) for customer, found in spans.items() if len(found) > 1}


def meters_sold(declaration: Declaration, books: Books) -> dict[str, frozenset[str]]:
    """The meters that each plan would price."""
    sold: dict[str, set[str]] = defaultdict(set)
    for known in books.prices.values():
        sold[known.value.plan].add(known.value.price.meter)
    for plan in declaration.plans:
        sold[plan.code] |= {price.meter for price in plan.prices}
    return {plan: frozenset(codes) for plan, codes in sold.items()}
