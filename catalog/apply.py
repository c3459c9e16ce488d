"""Making the books say what catalog files declare: look first, then write, in one transaction."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection, Engine

from catalog.change import D, Known
from catalog.check import find_conflicts, find_problems
from catalog.customers import write_customers, zone_of
from catalog.declaration import Declaration
from catalog.diff import Books, Diff, diff_document, load_books
from catalog.document import read_catalog, refuse_problems
from catalog.merchants import write_merchants
from catalog.meters import write_meters
from catalog.overrides import BilledDays, OverridePlaces, billed_days, write_overrides
from catalog.plans import PricePlaces, billed_prices, write_plans, write_prices
from catalog.subscriptions import SubscriptionPlaces, load_subscriptions, write_subscriptions
from catalog.version import bump, current_version, lock_version
from core.db import transaction
from core.errors import Conflict, Problem


@dataclass(frozen=True, slots=True)
class Applied:
    """The version at which the books say what was declared, and what was written for it."""

    version: int
    diffs: tuple[Diff, ...]


def apply_text(engine: Engine, text: str) -> Applied:
    """Read a catalog text and apply it without asking, in a transaction of its own."""
    declarations = read_catalog(text.encode())
    with transaction(engine) as connection:
        return apply_catalog(connection, declarations)


def plan_catalog(connection: Connection, declarations: Sequence[Declaration]) -> tuple[Diff, ...]:
    """What ``apply_catalog`` would write, document by document. Writes nothing.

    Raises ``Refused`` with ``catalog_invalid`` for names that lead nowhere, ``Conflict`` with the code of the first
    clash (``price_already_billed`` and others) and all of them as problems.
    """
    return tuple(diff for diff, _ in look(connection, declarations))


def apply_catalog(
    connection: Connection, declarations: Sequence[Declaration], expected: Sequence[Diff] | None = None
) -> Applied:
    """Write all changes as one new catalog version; nothing to write means no new version.

    ``expected`` is what a person has agreed to: raises ``Conflict`` with ``catalog_moved`` when the books have
    changed so much since that it would be something else. Otherwise raises like ``plan_catalog``.
    """
    lock_version(connection)
    found = look(connection, declarations)
    diffs = tuple(diff for diff, _ in found)
    if expected is not None and diffs != tuple(expected):
        raise Conflict("catalog_moved", "the catalog was changed by somebody else meanwhile; look at the changes again")
    if not any(diff.changes for diff in diffs):
        return Applied(current_version(connection), diffs)
    version = bump(connection)
    for diff, books in found:
        write_diff(connection, version, diff, books)
    return Applied(version, diffs)


def look(connection: Connection, declarations: Iterable[Declaration]) -> list[tuple[Diff, Books]]:
    """Each document's diff with the books that it was made from; raises when anything stands against one."""
    found, problems, conflicts = [], list[Problem](), list[Problem]()
    for declaration in declarations:
        books = load_books(connection, declaration.merchant.code)
        diff = diff_document(declaration, books)
        problems += within(declaration, find_problems(declaration, books))
        price_ids = [change.current.row_id for change in diff.prices if change.current]
        billed, days = billed_prices(connection, price_ids), days_billed(connection, diff, books)
        conflicts += within(declaration, find_conflicts(diff, books, billed, days))
        found.append((diff, books))
    refuse_problems(problems)
    if conflicts:
        message = "the catalog clashes with what exists; nothing was changed"
        raise Conflict(conflicts[0].code, message, problems=tuple(conflicts))
    return found


def days_billed(connection: Connection, diff: Diff, books: Books) -> BilledDays:
    """What was billed to the subscriptions that would get prices of their own."""
    changed = {change.declared.subscription for change in diff.overrides} & books.subscriptions.keys()
    zones: dict[str, tuple[str, str]] = {}
    for code in changed:
        known = books.subscriptions[code]
        zones[known.row_id] = (code, zone_of(books.customers[known.value.customer].value, None))
    return billed_days(connection, zones)


def within(declaration: Declaration, problems: Iterable[Problem]) -> Iterable[Problem]:
    """The problems with their paths as seen from the file, not from the document."""
    if not declaration.path:
        return problems
    return (replace(problem, field=f"{declaration.path}.{problem.field}") for problem in problems)


def write_diff(connection: Connection, version: int, diff: Diff, books: Books) -> None:
    """Write one document's changes, each kind after those that it refers to."""
    declaration = diff.declaration
    merchant_ids = ids(books.merchant) | write_merchants(connection, version, diff.merchants)
    merchant_id = merchant_ids[declaration.merchant.code]
    meter_ids = ids(books.meters) | write_meters(connection, merchant_id, version, diff.meters)
    plan_ids = ids(books.plans) | write_plans(connection, merchant_id, diff.plans)
    currencies = {plan.code: plan.currency for plan in declaration.plans}
    write_prices(connection, merchant_id, version, diff.prices, PricePlaces(plan_ids, currencies, meter_ids))
    customer_ids = ids(books.customers) | write_customers(connection, merchant_id, version, diff.customers)
    zones = {key: zone_of(known.value, None) for key, known in books.customers.items()}
    zones |= {who.key: zone_of(who, books.customers.get(who.key)) for who in declaration.customers}
    places = SubscriptionPlaces(customer_ids, zones, plan_ids)
    write_subscriptions(connection, merchant_id, version, diff.subscriptions, places)
    if diff.overrides:
        running = load_subscriptions(connection, merchant_id)
        currencies |= {code: known.value.currency for code, known in books.plans.items() if code not in currencies}
        paid_in = {code: currencies[known.value.plan] for code, known in running.items()}
        own = OverridePlaces(ids(running), paid_in, meter_ids)
        write_overrides(connection, merchant_id, version, diff.overrides, own)


def ids(known: Mapping[str, Known[D]]) -> dict[str, str]:
    """The ids of what the books hold, by name."""
    return {code: entry.row_id for code, entry in known.items()}
