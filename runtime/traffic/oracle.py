"""What the invoices must say: a naive biller in plain decimals, written from the definitions alone."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from decimal import ROUND_HALF_UP, Context, Decimal, localcontext

from runtime.traffic.meters import METERS, SimPrice, currency_of, price_of
from runtime.traffic.usage import Usage

MINOR_DIGITS = {"JPY": 0, "KWD": 3}
WIDE = Context(prec=80)


@dataclass(frozen=True, slots=True)
class ExpectedInvoice:
    """One customer's invoice: lines by meter code, in major units, each rounded once; the total is their sum."""

    merchant: str
    customer: str
    currency: str
    lines: dict[str, Decimal]

    @property
    def total(self) -> Decimal:
        """The sum of the rounded lines."""
        return sum(self.lines.values(), Decimal(0))


def expected_invoices(usage: Usage) -> dict[tuple[str, str], ExpectedInvoice]:
    """An invoice for every customer with usage, by (merchant code, customer key)."""
    plan = usage.plan
    prices = {(m, j): price_of(m, METERS[j]) for m in range(plan.merchants) for j in range(plan.meters)}
    invoices: dict[tuple[str, str], ExpectedInvoice] = {}
    for merchant, customer, meter, quantity in usage.used():
        key = (plan.merchant_code(merchant), plan.customer_key(customer))
        currency = currency_of(merchant)
        if key not in invoices:
            invoices[key] = ExpectedInvoice(*key, currency, {})
        amount = charge(prices[merchant, meter], quantity)
        invoices[key].lines[METERS[meter].code] = rounded(amount, currency)
    return invoices


def totals_by_currency(invoices: dict[tuple[str, str], ExpectedInvoice]) -> dict[str, Decimal]:
    """Totals of all invoices, by currency in alphabetical order."""
    totals: dict[str, Decimal] = defaultdict(Decimal)
    for invoice in invoices.values():
        totals[invoice.currency] += invoice.total
    return dict(sorted(totals.items()))


def charge(price: SimPrice, quantity: Decimal) -> Decimal:
    """What a quantity costs, unrounded."""
    with localcontext(WIDE):
        if not price.tiers:
            return quantity * price.unit_price
        amount, below = Decimal(0), Decimal(0)
        for tier in price.tiers:
            if quantity <= below:
                break
            top = quantity if tier.up_to is None else min(quantity, tier.up_to)
            amount += (top - below) * tier.unit_price + tier.flat_price
            below = top
            if tier.up_to is None or quantity <= tier.up_to:
                break
        return amount


def rounded(amount: Decimal, currency: str) -> Decimal:
    """An amount rounded to the currency's minor unit, halves away from zero."""
    step = Decimal(1).scaleb(-MINOR_DIGITS.get(currency, 2))
    with localcontext(WIDE):
        return amount.quantize(step, rounding=ROUND_HALF_UP)
