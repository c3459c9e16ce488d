"""The simulated merchants' catalog as the YAML that ``millrace apply`` reads, one document a merchant."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal

from runtime.traffic.meters import METERS, SimMeter, currency_of, price_of, zone_of
from runtime.traffic.plan import TrafficPlan

PLAN_CODE = "payg"
# The same for every plan of traffic, so that traffic of another month finds the catalog as it is.
SUBSCRIBED_SINCE = "2020-01-01"


def catalog_documents(plan: TrafficPlan) -> Iterator[str]:
    """One YAML document for each merchant; subscriptions are monthly from the first."""
    return (merchant_document(plan, merchant) for merchant in range(plan.merchants))


def merchant_document(plan: TrafficPlan, merchant: int) -> str:
    """The catalog of one merchant: its meters, one plan with all prices, its customers and their subscriptions."""
    currency = currency_of(merchant)
    meters = METERS[: plan.meters]
    lines = [
        f"merchant: {{code: {plan.merchant_code(merchant)}, name: Simulated merchant {merchant}}}",
        "meters:",
        *(f"  - {_meter(meter)}" for meter in meters),
        "plans:",
        f"  - code: {PLAN_CODE}",
        "    name: Pay as you go",
        f"    currency: {currency}",
        "    prices:",
        *(f"      - {_price(merchant, meter)}" for meter in meters),
        "customers:",
    ]
    for customer in range(plan.customers):
        key, zone = plan.customer_key(customer), zone_of(customer)
        lines.append(f"  - {{key: {key}, name: Customer {customer}, zone: {zone}, currency: {currency}}}")
    lines.append("subscriptions:")
    lines += [
        f"  - {{customer: {plan.customer_key(customer)}, plan: {PLAN_CODE}, start: {SUBSCRIBED_SINCE}}}"
        for customer in range(plan.customers)
    ]
    return "\n".join(lines) + "\n"


def _meter(meter: SimMeter) -> str:
    parts = [f"code: {meter.code}", f"event_type: {meter.type}", f"aggregation: {meter.aggregation}"]
    if meter.value:
        parts.append(f"value: {meter.value}")
    if meter.group_by:
        parts.append(f"group_by: [{', '.join(meter.group_by)}]")
    if meter.only_eu:
        parts.append("filters: [{property: region, op: eq, values: [eu]}]")
    return "{" + ", ".join(parts) + "}"


def _price(merchant: int, meter: SimMeter) -> str:
    price = price_of(merchant, meter)
    if not price.tiers:
        return f"{{meter: {meter.code}, model: per_unit, unit_price: {_text(price.unit_price)}}}"
    tiers = ", ".join(
        f"{{up_to: {'null' if tier.up_to is None else _text(tier.up_to)}, "
        f"unit_price: {_text(tier.unit_price)}, flat_price: {_text(tier.flat_price)}}}"
        for tier in price.tiers
    )
    return f"{{meter: {meter.code}, model: graduated, tiers: [{tiers}]}}"


def _text(number: Decimal) -> str:
    """A decimal in quotes, so that no YAML reader makes a float of it."""
    return f'"{number:f}"'
