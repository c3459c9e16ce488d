"""Catalog files into declarations."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest

from catalog.declaration import CustomerDeclaration, MeterDeclaration, PriceDeclaration, SubscriptionDeclaration
from catalog.document import read_catalog
from catalog.meter import Filter
from core.errors import Refused
from tests.catalog.builders import CUSTOMER, METER, PLAN, SUBSCRIPTION, catalog_text

EXAMPLE = Path(__file__).parents[2] / "docs" / "examples" / "llm.yaml"


def faults_of(source: str) -> list[tuple[str | None, str]]:
    """Paths and codes of what is wrong with a text."""
    with pytest.raises(Refused) as refused:
        read_catalog(source.encode())
    assert refused.value.code == "catalog_invalid"
    return [(problem.field, problem.code) for problem in refused.value.problems]


def test_a_whole_document_is_read() -> None:
    """Every kind of entry becomes its typed declaration."""
    source = """
merchant: {code: acme, name: Acme Inc}
meters:
  - {code: tokens, event_type: llm.request, aggregation: sum, value: Tokens, group_by: [model, region],
     filters: [{property: region, op: in, values: [eu, us]}, {property: test, op: ne, values: [true]}]}
skus:
  - {code: gpu-hour, name: GPU hour}
plans:
  - code: payg
    name: Pay as you go
    currency: USD
    prices:
      - {meter: tokens, model: per_unit, unit_price: 0.0000025}
      - {meter: gpu-hour, model: graduated, tiers: [{up_to: 100, unit_price: 2.50}, {up_to: null, unit_price: 2}]}
customers:
  - {key: c-1, name: First customer, zone: Europe/Berlin, currency: USD}
subscriptions:
  - {customer: c-1, plan: payg, start: 2023-11-01}
  - {customer: c-1, plan: payg, start: 2022-11-01, end: 2023-02-01}
"""
    (found,) = read_catalog(source.encode())

    assert (found.merchant.code, found.merchant.name) == ("acme", "Acme Inc")
    filters = (Filter("region", "in", ("eu", "us")), Filter("test", "ne", ("true",)))
    assert found.meters[0] == MeterDeclaration(
        "tokens", None, "llm.request", "sum", "Tokens", ("model", "region"), filters
    )
    assert found.meters[1] == MeterDeclaration("gpu-hour", "GPU hour", "gpu-hour", "sum", "amount")
    assert found.plans[0].prices == (
        PriceDeclaration("tokens", "per_unit", '{"model":"per_unit","unit_price":"0.0000025"}'),
        PriceDeclaration(
            "gpu-hour",
            "graduated",
            '{"model":"graduated","tiers":[{"flat_price":"0","unit_price":"2.5","up_to":"100"},'
            '{"flat_price":"0","unit_price":"2","up_to":null}]}',
        ),
    )
    assert found.customers == (CustomerDeclaration("c-1", "First customer", "Europe/Berlin", "USD"),)
    assert found.subscriptions == (
        SubscriptionDeclaration("c-1", "payg", date(2023, 11, 1)),
        SubscriptionDeclaration("c-1", "payg", date(2022, 11, 1), date(2023, 2, 1)),
    )


@pytest.mark.parametrize(
    "source",
    [
        "merchant: {code: a}\nmeters:\n  - {code: m, event_type: t, aggregation: sum, expression: properties.a / 60}",
        """
merchant: {code: a}
meters:
  - code: m
    event_type: t
    aggregation: sum
    expression: >-
      properties.a
      / 60
""",
        """{"merchant": {"code": "a"}, "meters": [
            {"code": "m", "event_type": "t", "aggregation": "sum", "expression": "properties.a / 60"}]}""",
    ],
)
def test_an_expression_stands_in_place_of_a_value(source: str) -> None:
    """In YAML, on several lines or one, and in JSON."""
    (found,) = read_catalog(source.encode())

    assert found.meters == (MeterDeclaration("m", None, "t", "sum", None, expression="properties.a / 60"),)


def test_the_example_prices_tokens_by_the_million() -> None:
    """The example in the documentation charges 2.50 and 10.00 USD per million tokens."""
    (found,) = read_catalog(EXAMPLE.read_bytes())

    assert [(price.meter, price.definition) for price in found.plans[0].prices] == [
        ("context_tokens", '{"model":"per_unit","unit_price":"0.0000025"}'),
        ("generated_tokens", '{"model":"per_unit","unit_price":"0.00001"}'),
    ]


@pytest.mark.parametrize(
    ("source", "faults"),
    [
        ("- a", [("document", "not_mapping")]),
        ("meters: []", [("merchant", "field_missing")]),
        ("merchant: {code: a b}", [("merchant.code", "code_invalid")]),
        ("merchant: {code: a}\nmeter: []", [("meter", "field_unknown")]),
        ("merchant: {code: a}\nmeters: {}", [("meters", "not_list")]),
        (catalog_text(meters="{code: m, event_type: t}"), [("meters[0].aggregation", "field_missing")]),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: mean}"),
            [("meters[0].aggregation", "choice_unknown")],
        ),
        (catalog_text(meters="{code: m, event_type: t, aggregation: sum}"), [("meters[0].value", "field_missing")]),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: count, value: v}"),
            [("meters[0].value", "value_unused")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: count, expression: properties.v}"),
            [("meters[0].expression", "value_unused")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: unique, expression: properties.v}"),
            [("meters[0].expression", "expression_not_with_aggregation")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: max, value: v, expression: properties.v * 2}"),
            [("meters[0].expression", "value_and_expression")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: sum, expression: v * 2}"),
            [("meters[0].expression", "expression_invalid")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: sum, expression: [properties.v]}"),
            [("meters[0].expression", "not_text")],
        ),
        (
            catalog_text(meters=f"{{code: m, event_type: t, aggregation: sum, expression: {'-' * 20}properties.v}}"),
            [("meters[0].expression", "expression_too_long")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: count, group_by: [a, a]}"),
            [("meters[0].group_by[1]", "given_twice")],
        ),
        (
            catalog_text(meters="{code: m, event_type: t, aggregation: count, filters: [{property: p, op: eq}]}"),
            [("meters[0].filters[0].values", "values_count")],
        ),
        (catalog_text(plans="{code: p, currency: XXQ}"), [("plans[0].currency", "currency_unknown")]),
        (
            catalog_text(plans="{code: p, currency: USD, prices: [{meter: tokens, model: per_unit, unit_price: -1}]}"),
            [("plans[0].prices[0].unit_price", "value_negative")],
        ),
        (
            catalog_text(
                plans="{code: p, currency: USD, prices: "
                "[{meter: tokens, model: graduated, tiers: [{up_to: 1, unit_price: 1}]}]}"
            ),
            [("plans[0].prices[0].tiers[0].up_to", "tier_bounded")],
        ),
        (catalog_text(customers="{key: c, currency: USD, zone: Mars}"), [("customers[0].zone", "zone_unknown")]),
        (catalog_text(customers='{key: "a\\nb", currency: USD}'), [("customers[0].key", "text_unprintable")]),
        (catalog_text(customers=f"{{key: {'x' * 257}, currency: USD}}"), [("customers[0].key", "text_length")]),
        (catalog_text(subscriptions="{customer: c-1, plan: payg}"), [("subscriptions[0].start", "field_missing")]),
        (
            catalog_text(subscriptions="{customer: c-1, plan: payg, start: 2023-02-29}"),
            [("subscriptions[0].start", "day_invalid")],
        ),
        (
            catalog_text(subscriptions="{customer: c-1, plan: payg, start: 20231101}"),
            [("subscriptions[0].start", "day_invalid")],
        ),
        (
            catalog_text(subscriptions="{customer: c-1, plan: payg, start: 2023-11-01, end: 2023-11-01}"),
            [("subscriptions[0].end", "end_before_start")],
        ),
        (catalog_text(meters=f"{METER}, {METER}"), [("meters[1].code", "given_twice")]),
        (
            catalog_text(plans=f"{PLAN}, {PLAN}"),
            [("plans[1].code", "given_twice")],
        ),
        (catalog_text(customers=f"{CUSTOMER}, {CUSTOMER}"), [("customers[1].key", "given_twice")]),
        (catalog_text(subscriptions=f"{SUBSCRIPTION}, {SUBSCRIPTION}"), [("subscriptions[1]", "given_twice")]),
        (catalog_text() + "skus: [{code: tokens}]\n", [("skus[0].code", "given_twice")]),
        (
            catalog_text(
                plans="{code: p, currency: Q, prices: [{meter: tokens, model: per_unit, unit_price: x}]}",
                customers="{}",
            ),
            [
                ("plans[0].currency", "currency_unknown"),
                ("plans[0].prices[0].unit_price", "value_not_numeric"),
                ("customers[0].key", "field_missing"),
                ("customers[0].currency", "field_missing"),
            ],
        ),
    ],
)
def test_all_faults_are_listed_under_their_paths(source: str, faults: list[tuple[str, str]]) -> None:
    """A wrong file is mended in one go."""
    assert sorted(faults_of(source), key=str) == sorted(faults, key=str)


def test_paths_name_their_document_when_there_are_several() -> None:
    """With two documents a path alone would not say which one is meant."""
    source = catalog_text() + "---\n" + catalog_text(merchant="other", plans="{code: p, currency: Q}")

    assert faults_of(source) == [("documents[1].plans[0].currency", "currency_unknown")]


def test_a_merchant_has_one_document() -> None:
    """Two documents of one merchant could contradict each other."""
    assert faults_of(catalog_text() + "---\n" + catalog_text()) == [("documents[1].merchant.code", "given_twice")]


def test_an_empty_file_is_refused() -> None:
    """A file that declares nothing is most likely the wrong file."""
    with pytest.raises(Refused, match="declares nothing"):
        read_catalog(b"# nothing here\n")
