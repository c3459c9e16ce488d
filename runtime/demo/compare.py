"""The product's numbers against the simulator's: every disagreement as a sentence."""

from __future__ import annotations

from collections.abc import Iterable
from decimal import Decimal

from runtime.conservation.ledger import Totals
from runtime.demo.billed import BilledInvoice, BilledLine
from runtime.traffic.account import Account
from runtime.traffic.meters import METERS
from runtime.traffic.oracle import ExpectedInvoice
from runtime.traffic.usage import Usage

SHOWN_MAX = 10

Expected = dict[tuple[str, str], ExpectedInvoice]


def fate_differences(account: Account, totals: Totals) -> list[str]:
    """Counts of fates. Requests without an answer were sent again, so that copies of theirs may have been kept."""
    differences = []
    if account.astray:
        differences.append(f"{account.astray} events got an answer that they should not have got")
    if account.accepted + account.refused != account.sent:
        differences.append(f"{account.sent - account.accepted - account.refused} events got no answer")
    extra = totals.received - account.accepted
    if not 0 <= extra <= account.maybe_repeated:
        differences.append(f"received: {totals.received}, accepted {account.accepted}")
    if totals.stored != account.stored:
        differences.append(f"stored: {totals.stored}, expected {account.stored}")
    fates = ("duplicates", "conflicts", "held", "rejected")
    # What a repeated try adds is a copy of something, and never anything new.
    beyond = {name: getattr(totals, name) - getattr(account, name) for name in fates}
    differences += [
        f"{name}: {getattr(totals, name)}, expected {getattr(account, name)}"
        for name in fates
        if not 0 <= beyond[name] <= extra
    ]
    if sum(beyond.values()) != extra:
        differences.append(f"{extra} events more than accepted, of which {sum(beyond.values())} have a fate")
    return differences


def line_differences(lines: Iterable[BilledLine], usage: Usage, expected: Expected) -> list[str]:
    """Quantities and amounts, line by line, and lines that are missing."""
    plan = usage.plan
    quantities = {
        (plan.merchant_code(merchant), plan.customer_key(customer), METERS[meter].code): quantity
        for merchant, customer, meter, quantity in usage.used()
    }
    differences = []
    for line in lines:
        place = (line.merchant, line.customer, line.meter)
        quantity = quantities.pop(place, Decimal(0))
        invoice = expected.get(place[:2])
        amount = invoice.lines.get(line.meter, Decimal(0)) if invoice else Decimal(0)
        if line.quantity != quantity:
            differences.append(f"{' '.join(place)}: quantity {line.quantity:f}, expected {quantity:f}")
        if line.amount.decimal() != amount or (invoice and line.amount.currency != invoice.currency):
            differences.append(f"{' '.join(place)}: {line.amount}, expected {amount}")
    differences += [f"{' '.join(place)}: no line, expected {quantity:f}" for place, quantity in quantities.items()]
    return shortened(differences)


def invoice_differences(invoices: Iterable[BilledInvoice], expected: Expected) -> list[str]:
    """Totals, invoice by invoice, and invoices that are missing or too many."""
    left = dict(expected)
    differences = []
    for invoice in invoices:
        wanted = left.pop((invoice.merchant, invoice.customer), None)
        if wanted is None:
            differences.append(f"invoice {invoice.number} of {invoice.merchant} was not expected")
        elif (invoice.total.decimal(), invoice.total.currency) != (wanted.total, wanted.currency):
            differences.append(f"invoice {invoice.number} of {invoice.merchant}: {invoice.total}, not {wanted.total}")
    differences += [f"{merchant} {customer} has no invoice" for merchant, customer in left]
    return shortened(differences)


def shortened(differences: list[str]) -> list[str]:
    """The first few, and how many more there are."""
    more = len(differences) - SHOWN_MAX
    return differences if more <= 0 else [*differences[:SHOWN_MAX], f"and {more} more of this kind"]
