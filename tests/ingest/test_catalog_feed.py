"""The door's view of the catalog."""

from __future__ import annotations

from sqlalchemy import Engine

from catalog.apply import apply_text
from core.db import transaction
from ingest.catalog_feed import load_catalog
from ingest.needs import Needs

CATALOG = """
merchant: {code: acme, name: Acme}
meters:
  - {code: tokens, event_type: llm, aggregation: sum, value: tokens}
  - {code: peak, event_type: llm, aggregation: max, value: tokens}
  - {code: level, event_type: probe, aggregation: avg, value: heat}
  - {code: calls, event_type: llm, aggregation: count}
  - {code: models, event_type: llm, aggregation: unique, value: model}
  - {code: eu, event_type: llm, aggregation: sum, value: cost, filters: [{property: region, op: in, values: [eu]}]}
  - {code: hours, event_type: disk, aggregation: sum, expression: properties.gb * properties.s / 3600 + properties.gb}
  - {code: eu_hours, event_type: disk, aggregation: max, expression: properties.gb - properties.free,
     filters: [{property: region, op: in, values: [eu]}]}
skus:
  - {code: gpu, name: GPU}
"""


def test_numeric_values_are_required_unless_a_filter_may_leave_them_out(books: Engine) -> None:
    """Counts and distinct values need no number; an expression needs all that it names; a SKU reads its amount."""
    apply_text(books, CATALOG)

    catalog = load_catalog(books, None)

    with transaction(books) as connection:
        merchant_id = connection.exec_driver_sql("SELECT merchant_id FROM merchants").scalar_one()
    assert catalog.of(merchant_id) == {
        "llm": Needs(("tokens",), ("cost",)),
        "probe": Needs(("heat",)),
        "disk": Needs(("gb", "s"), ("free",)),
        "gpu": Needs(("amount",)),
    }
    assert catalog.of("mer_other") == {}


def test_an_unchanged_catalog_is_not_loaded_again(books: Engine) -> None:
    """The version tells."""
    apply_text(books, CATALOG)
    catalog = load_catalog(books, None)

    same = load_catalog(books, catalog)
    apply_text(books, CATALOG + "  - {code: cpu, name: CPU}\n")
    newer = load_catalog(books, catalog)

    assert same is catalog
    assert newer.version > catalog.version
