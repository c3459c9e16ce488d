"""Reading a catalog file into declarations, with every fault listed under its field's path."""

from __future__ import annotations

import re
from collections.abc import Hashable, Iterable, Sequence, Set
from datetime import date
from functools import partial
from zoneinfo import available_timezones

from catalog.billed import read_billed
from catalog.declaration import (
    CustomerDeclaration,
    Declaration,
    MerchantDeclaration,
    MeterDeclaration,
    OverrideDeclaration,
    PlanDeclaration,
    PriceDeclaration,
    SubscriptionDeclaration,
    sku,
)
from catalog.fields import Faults, Fields, kind_of
from catalog.filters import read_filters
from catalog.late_usage import read_late_usage
from catalog.meter import AGGREGATIONS
from catalog.price import price_text, read_price
from catalog.yaml_text import Value, read_yaml
from core.errors import Problem, Refused
from core.expression import read_expression
from core.limits import EXPRESSION_BYTES_MAX, PROPERTY_NAME_BYTES_MAX, SUBJECT_BYTES_MAX, TYPE_BYTES_MAX
from core.money import minor_digits

METERS_MAX = 10_000
PLANS_MAX = 10_000
PRICES_MAX = 1_000
CUSTOMERS_MAX = 1_000_000
GROUPS_MAX = 8
NAME_BYTES_MAX = 500
DAY = re.compile(r"\d{4}-\d{2}-\d{2}", re.ASCII)
YEARS = range(2000, 2200)


def read_catalog(source: bytes) -> tuple[Declaration, ...]:
    """The declarations of a catalog file, one a document.

    Raises ``Refused``: ``catalog_invalid`` with all problems of all documents, or what ``read_yaml`` raises.
    """
    documents = [document for document in read_yaml(source) if document is not None]
    if not documents:
        raise Refused("catalog_empty", "the file declares nothing: a document begins with 'merchant:'")
    faults = Faults()
    paths = [""] if len(documents) == 1 else [f"documents[{index}]" for index in range(len(documents))]
    zones = available_timezones()
    found = [read_document(document, path, faults, zones) for document, path in zip(documents, paths, strict=True)]
    refuse_repeats(faults, ((f"{d.path}.merchant.code".lstrip("."), d.merchant.code) for d in found))
    refuse_problems(faults.problems)
    return tuple(found)


def refuse_problems(problems: Sequence[Problem]) -> None:
    """Raise ``Refused`` with ``catalog_invalid`` when there are problems."""
    if problems:
        count = "1 problem" if len(problems) == 1 else f"{len(problems)} problems"
        raise Refused("catalog_invalid", f"the catalog has {count}; nothing was changed", problems=tuple(problems))


def refuse_repeats(faults: Faults, named: Iterable[tuple[str, Hashable]]) -> None:
    """Note each path whose name an earlier path has."""
    first: dict[Hashable, str] = {}
    for path, name in named:
        if name != "" and first.setdefault(name, path) != path:
            faults.add(path, "given_twice", f"{first[name]} declares the same")


def read_document(document: Value, path: str, faults: Faults, zones: Set[str]) -> Declaration:
    """One merchant's document; worthless when it has faults."""
    if not isinstance(document, dict):
        faults.add(path or "document", "not_mapping", f"must be a mapping of fields, not {kind_of(document)}")
        return Declaration(MerchantDeclaration(""), path=path)
    fields = Fields(document, path, faults)
    merchant = read_merchant(fields)
    meters = fields.each("meters", read_meter, METERS_MAX)
    skus = fields.each("skus", read_sku, METERS_MAX)
    found = Declaration(
        merchant=merchant,
        meters=meters + skus,
        plans=fields.each("plans", read_plan, PLANS_MAX),
        customers=fields.each("customers", partial(read_customer, zones), CUSTOMERS_MAX),
        subscriptions=fields.each("subscriptions", read_subscription, CUSTOMERS_MAX),
        path=path,
    )
    fields.end()
    if not faults.problems:
        refuse_repeats_within(fields, found, meters_count=len(meters))
    return found


def refuse_repeats_within(fields: Fields, found: Declaration, meters_count: int) -> None:
    """Everything is declared once; a SKU is a meter, so that they share their names."""
    paths = [f"meters[{index}].code" for index in range(meters_count)]
    paths += [f"skus[{index}].code" for index in range(len(found.meters) - meters_count)]
    named: list[tuple[str, Hashable]] = [
        (path, ("meter", meter.code)) for path, meter in zip(paths, found.meters, strict=True)
    ]
    for index, plan in enumerate(found.plans):
        named.append((f"plans[{index}].code", ("plan", plan.code)))
        named += [
            (f"plans[{index}].prices[{place}].meter", ("price", index, price.meter, price.effective_from))
            for place, price in enumerate(plan.prices)
        ]
    named += [(f"customers[{index}].key", ("customer", who.key)) for index, who in enumerate(found.customers)]
    for index, what in enumerate(found.subscriptions):
        named.append((f"subscriptions[{index}]", ("subscription", what.customer, what.plan, what.start)))
        named += [
            (
                f"subscriptions[{index}].prices[{place}]",
                ("override", index, said.price.meter, said.price.effective_from),
            )
            for place, said in enumerate(what.prices)
        ]
    refuse_repeats(fields.faults, ((fields.at(path), name) for path, name in named))


def read_merchant(fields: Fields) -> MerchantDeclaration:
    """The entry ``merchant``, which says whose document this is."""
    raw = fields.take("merchant")
    if not isinstance(raw, dict):
        fields.fault("merchant", "field_missing", "is required: merchant: {code: ..., name: ...}")
        return MerchantDeclaration("")
    merchant = Fields(raw, fields.at("merchant"), fields.faults)
    name = merchant.optional_text("name", NAME_BYTES_MAX)
    found = MerchantDeclaration(merchant.code("code"), name, read_late_usage(merchant))
    merchant.end()
    return found


def read_meter(fields: Fields) -> MeterDeclaration:
    """An entry of ``meters``."""
    aggregation = fields.one_of("aggregation", AGGREGATIONS)
    value, expression = read_value(fields, aggregation)
    return MeterDeclaration(
        code=fields.code("code"),
        name=fields.optional_text("name", NAME_BYTES_MAX),
        event_type=fields.text("event_type", TYPE_BYTES_MAX),
        aggregation=aggregation or "count",
        value_property=value,
        group_by=fields.texts("group_by", PROPERTY_NAME_BYTES_MAX, GROUPS_MAX),
        filters=read_filters(fields),
        billed=read_billed(fields, aggregation),
        expression=expression,
    )


def read_value(fields: Fields, aggregation: str | None) -> tuple[str | None, str | None]:
    """What a meter takes of an event: a property (``value``) or what an ``expression`` makes of some."""
    value = fields.optional_text("value", PROPERTY_NAME_BYTES_MAX)
    expression = fields.optional_text("expression", EXPRESSION_BYTES_MAX)
    given = [name for name in ("value", "expression") if fields.take(name) is not None]
    if aggregation == "count":
        for name in given:
            fields.fault(name, "value_unused", f"count takes no {name}: it counts events")
    elif aggregation is not None and not given:
        say = f"{aggregation} needs the name of the property that holds the value, or an expression in its place"
        fields.fault("value", "field_missing", say)
    if len(given) > 1:
        fields.fault("expression", "value_and_expression", "stands in place of 'value': leave one of the two out")
    if aggregation == "unique" and expression is not None:
        fields.fault("expression", "expression_not_with_aggregation", "unique counts texts, and takes a 'value'")
    try:
        if expression is not None:
            read_expression(expression)
    except Refused as error:
        fields.fault("expression", error.code, error.message)
    return value, expression


def read_sku(fields: Fields) -> MeterDeclaration:
    """An entry of ``skus``."""
    return sku(fields.code("code"), fields.optional_text("name", NAME_BYTES_MAX))


def read_plan(fields: Fields) -> PlanDeclaration:
    """An entry of ``plans``."""
    return PlanDeclaration(
        code=fields.code("code"),
        name=fields.optional_text("name", NAME_BYTES_MAX),
        currency=read_currency(fields),
        prices=fields.each("prices", read_plan_price, PRICES_MAX),
    )


def read_plan_price(fields: Fields) -> PriceDeclaration:
    """An entry of a plan's ``prices``: a price, and the meter that it is for."""
    meter = fields.code("meter")
    effective_from = read_day(fields, "from")
    definition = read_price(fields) or {"model": ""}
    return PriceDeclaration(meter, str(definition["model"]), price_text(definition), effective_from)


def read_currency(fields: Fields) -> str:
    """A currency of ISO 4217."""
    text = fields.text("currency")
    try:
        if text:
            minor_digits(text)
    except Refused as error:
        fields.fault("currency", error.code, error.message)
    return text


def read_customer(zones: Set[str], fields: Fields) -> CustomerDeclaration:
    """An entry of ``customers``."""
    zone = fields.optional_text("zone")
    if zone is not None and zone not in zones:
        fields.fault("zone", "zone_unknown", f"{zone!r} is not a time zone of the IANA database, such as Europe/Berlin")
    return CustomerDeclaration(
        key=fields.text("key", SUBJECT_BYTES_MAX),
        name=fields.optional_text("name", NAME_BYTES_MAX),
        zone=zone,
        currency=read_currency(fields),
    )


def read_subscription(fields: Fields) -> SubscriptionDeclaration:
    """An entry of ``subscriptions``."""
    start, end = read_day(fields, "start"), read_day(fields, "end")
    if start is None and fields.take("start") is None:
        fields.fault("start", "field_missing", "is required")
    if start and end and end <= start:
        fields.fault("end", "end_before_start", "must be after the start: it is the first day without the plan")
    return SubscriptionDeclaration(
        customer=fields.text("customer", SUBJECT_BYTES_MAX),
        plan=fields.code("plan"),
        start=start or date.min,
        end=end,
        prices=fields.each("prices", read_override, PRICES_MAX),
    )


def read_override(fields: Fields) -> OverrideDeclaration:
    """An entry of a subscription's ``prices``: a price, its meter, and from which day until which it holds."""
    until = read_day(fields, "until")
    price = read_plan_price(fields)
    if until and price.effective_from and until <= price.effective_from:
        fields.fault("until", "end_before_start", "must be after 'from': it is the first day without the price")
    return OverrideDeclaration(price, until)


def read_day(fields: Fields, name: str) -> date | None:
    """A calendar day such as ``2023-11-01``; ``None`` when it is absent or wrong."""
    text = fields.optional_text(name)
    if text is None:
        return None
    try:
        day = date.fromisoformat(text) if DAY.fullmatch(text) else None
    except ValueError:
        day = None
    if day is None or day.year not in YEARS:
        fields.fault(name, "day_invalid", f"must be a day such as 2023-11-01, not {text!r}")
        return None
    return day
