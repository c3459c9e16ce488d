from __future__ import annotations

from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest

from catalog.document import read_catalog
from catalog.keys import create_key
from clickhouse.report import UsageQuestion, usage_by
from core.clock import SystemClock
from core.db import transaction
from core.errors import Refused
from invoicing.find import find_invoice
from runtime.bring_in.mapping import make_mapping
from runtime.bring_in.run import Door, bring_in
from runtime.close import close_books
from runtime.commands.apply import write_catalog
from runtime.conservation.check import check_conservation
from runtime.conservation.drain import wait_until_drained
from runtime.demo.billed import billed_invoices
from runtime.demo.run import Parts, ignore_step
from tests.runtime.bring_in.trace import trace_file

CATALOG = Path("docs/examples/llm.yaml")


def usage(line: Parts) -> dict[str, tuple[int, Decimal]]:
    """Events and quantity of each meter, in total."""
    found = usage_by(line.store, UsageQuestion(grain="total"))
    return {row["meter"]: (row["events"], row["quantity"]) for row in found.iter_rows(named=True)}


def first_window(line: Parts) -> pl.DataFrame:
    """The first and last event of the trace as they are stored."""
    return line.store.query_frame("SELECT min(occurred_at) AS first, max(occurred_at) AS last FROM usage_events")


def test_the_real_trace_imported_twice_counts_once_and_bills_47_61(line: Parts, tmp_path: Path) -> None:
    """8,819 rows with Windows line ends and seven decimals; the second import is all duplicates; the close is exact."""
    write_catalog(line.books, line.store, read_catalog(CATALOG.read_bytes()))
    with transaction(line.books) as connection:
        key = create_key(connection, "acme").key
    mapping = make_mapping(
        type_="llm.request", subject="azure-code", time="TIMESTAMP", properties=("ContextTokens", "GeneratedTokens")
    )
    clock, trace = SystemClock(), trace_file(tmp_path)
    for times in (1, 2):
        outcome = bring_in(trace, mapping, Door(line.gateway_url, key), tmp_path, clock)
        assert (outcome.rows, outcome.accepted, outcome.failed) == (8_819, 8_819, 0)
        wait_until_drained(line.books, line.admin, line.topic, clock, acknowledged=8_819 * times)
        assert usage(line) == {
            "requests": (8_819, Decimal(8_819)),
            "context_tokens": (8_819, Decimal(18_059_974)),
            "generated_tokens": (8_819, Decimal(245_896)),
        }
    totals = check_conservation(line.books, line.store, line.topic).totals
    assert (totals.received, totals.stored, totals.duplicates) == (17_638, 8_819, 8_819)
    span = first_window(line)
    assert span["first"][0].isoformat() == "2023-11-16T18:17:03.979960+00:00"
    assert span["last"][0].isoformat() == "2023-11-16T19:14:19.928016+00:00"

    for _again in range(2):
        close_books(line.books, line.store, clock, "2023-11", on_step=ignore_step)
        with transaction(line.books) as connection:
            (billed,) = billed_invoices(connection, "2023-11")
            invoice = find_invoice(connection, billed.number)
        assert {row.meter: (row.unrounded, row.amount.decimal()) for row in invoice.lines if row.amount.minor} == {
            "context_tokens": (Decimal("45.149935"), Decimal("45.15")),
            "generated_tokens": (Decimal("2.45896"), Decimal("2.46")),
        }
        assert str(invoice.total) == "47.61 USD"
    assert check_conservation(line.books, line.store, line.topic).faults == ()


def test_a_wrong_key_ends_the_import_and_wrong_rows_are_told_with_their_numbers(line: Parts, tmp_path: Path) -> None:
    """The gateway says 401 to the one, and what is wrong with each of the others."""
    write_catalog(line.books, line.store, read_catalog(CATALOG.read_bytes()))
    with transaction(line.books) as connection:
        key = create_key(connection, "acme").key
    path = tmp_path / "bad.csv"
    path.write_text("at,ContextTokens,GeneratedTokens\n2023-11-16,1,2\nsoon,1,2\n2023-11-16,one,2\n2023-11-16,1,\n")
    mapping = make_mapping(
        type_="llm.request", subject="azure-code", time="at", properties=("ContextTokens", "GeneratedTokens")
    )
    clock = SystemClock()
    with pytest.raises(Refused) as caught:
        bring_in(path, mapping, Door(line.gateway_url, key[:-1] + "~"), tmp_path, clock)
    assert caught.value.status == 401

    # A door that has not heard of the new meters yet would let wrong values in, to be set aside behind it.
    deadline_s = clock.steady_s() + 20
    while (outcome := bring_in(path, mapping, Door(line.gateway_url, key), tmp_path, clock)).failed < 3:
        assert clock.steady_s() < deadline_s
    assert [(failure.row, failure.code) for failure in outcome.failures] == [
        (2, "time_invalid"),
        (3, "value_not_numeric"),
        (4, "value_missing"),
    ]
