"""What stands against prices of single subscriptions."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set

import orjson

from catalog.declaration import Declaration, OverrideDeclaration
from catalog.diff import Books
from catalog.meter_fit import misfits, outgrown
from catalog.overrides import override_code, overrides_of
from catalog.price import currencies_of
from core.errors import Problem


def override_problems(declaration: Declaration, books: Books, sold: Mapping[str, Set[str]]) -> Iterator[Problem]:
    """Overrides that could never be charged; ``sold`` are the meters that each plan prices."""
    meters = {code: known.value for code, known in books.meters.items()}
    meters |= {meter.code: meter for meter in declaration.meters}
    currencies = {code: known.value.currency for code, known in books.plans.items()}
    currencies |= {plan.code: plan.currency for plan in declaration.plans}
    pays_in = {key: known.value.currency for key, known in books.customers.items()}
    pays_in |= {who.key: who.currency for who in declaration.customers}
    declared: set[str] = set()
    for index, wish in enumerate(declaration.subscriptions):
        declared |= {override_code(override) for override in overrides_of(wish)}
        for place, said in enumerate(wish.prices):
            at = f"subscriptions[{index}].prices[{place}]"
            if said.price.meter not in sold.get(wish.plan, frozenset()):
                say = f"plan {wish.plan} has no price of {said.price.meter} that this one could stand in for"
                yield Problem("override_without_price", say, f"{at}.meter")
                continue
            if wish.customer in pays_in:
                yield from unpaid(said, currencies[wish.plan], pays_in[wish.customer], at)
            if said.price.meter in meters:
                yield from misfits(orjson.loads(said.price.definition), meters[said.price.meter], at)
    held = {code: known.value.price for code, known in books.overrides.items() if code not in declared}
    yield from outgrown(declaration, held)


def unpaid(said: OverrideDeclaration, currency: str, pays_in: str, at: str) -> Iterator[Problem]:
    """A price that says nothing in the customer's currency."""
    known = currencies_of(orjson.loads(said.price.definition)) or [currency]
    if pays_in not in known:
        say = f"the price is in {', '.join(sorted(known))}, the customer pays in {pays_in}"
        yield Problem("currency_not_priced", say, at)
