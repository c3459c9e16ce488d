"""What merchants say of late usage: read, refused with the path, written by versions."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import Engine

from catalog.apply import apply_text
from catalog.document import read_catalog
from catalog.duration import duration_text, parse_duration
from catalog.late_usage import DEFAULT_LATE_USAGE, LateUsage, known_late_usage, load_late_settings
from core.db import transaction
from core.errors import Refused
from tests.catalog.builders import scalar, signs
from tests.rating.text_table import table


def merchant(late_usage: str) -> str:
    """A document that says nothing else."""
    return f"merchant: {{code: acme, late_usage: {late_usage}}}"


@pytest.mark.parametrize(
    "cells",
    list(
        table("""
    text     | seconds | in one spelling
    0        | 0       | 0s
    90m      | 5400    | 1h30m
    2h       | 7200    | 2h
    1d12h    | 129600  | 1d12h
    36h      | 129600  | 1d12h
    1d2h3m4s | 93784   | 1d2h3m4s
    """)
    ),
)
def test_lengths_of_time_are_read_as_people_write_them(cells: list[str]) -> None:
    """Days, hours, minutes and seconds, larger ones first."""
    text, seconds, spelled = cells
    length = parse_duration(text)

    assert length == timedelta(seconds=int(seconds))
    assert duration_text(length) == spelled


@pytest.mark.parametrize("text", ["", "2", "h", "2h1d", "1h1h", "-2h", "1.5h", "2 h", "2H", "1w"])
def test_anything_else_is_no_length_of_time(text: str) -> None:
    """A number without a unit could mean anything."""
    assert parse_duration(text) is None


def test_the_settings_are_read() -> None:
    """What is left out is not said."""
    (whole,) = read_catalog(merchant("{grace: 2h, policy: report_only, months_back: 3}").encode())
    (part,) = read_catalog(merchant("{grace: 2h}").encode())

    assert whole.merchant.late_usage == LateUsage(timedelta(hours=2), "report_only", 3)
    assert part.merchant.late_usage == LateUsage(timedelta(hours=2))


@pytest.mark.parametrize(
    "cells",
    list(
        table("""
    settings                        | field       | code
    {grace: soon}                   | .grace      | duration_invalid
    {grace: 32d}                    | .grace      | grace_too_long
    {policy: credit_note}           | .policy     | policy_not_yet_available
    {policy: void_and_reissue}      | .policy     | policy_not_yet_available
    {policy: forget}                | .policy     | choice_unknown
    {months_back: -1}               | .months_back | months_invalid
    {months_back: 121}              | .months_back | months_invalid
    {months_back: few}              | .months_back | months_invalid
    {later: 2h}                     | .later      | field_unknown
    yes please                      |             | not_mapping
    """)
    ),
)
def test_what_is_wrong_is_named_by_its_path(cells: list[str]) -> None:
    """One fault each, with a code to look up."""
    settings, field, code = cells
    with pytest.raises(Refused) as refused:
        read_catalog(merchant(settings).encode())

    assert [(problem.field, problem.code) for problem in refused.value.problems] == [
        (f"merchant.late_usage{field}", code)
    ]


def test_settings_are_kept_by_versions_and_each_holds_until_the_next(books: Engine) -> None:
    """A part that is said anew leaves the others and the name as they were; a close sees those of its own version."""
    apply_text(books, "merchant: {code: acme, name: Acme Inc}")
    first = apply_text(books, merchant("{grace: 2h, months_back: 3}"))
    second = apply_text(books, merchant("{policy: report_only}"))
    again = apply_text(books, merchant("{grace: 120m, policy: report_only}"))

    assert (signs(first), again.version) == (["~merchant acme"], second.version)
    assert [(change.name, change.old, change.new) for change in second.diffs[0].merchants[0].fields] == [
        ("late_usage.policy", "next_invoice", "report_only")
    ]
    with transaction(books) as connection:
        by_version = [load_late_settings(connection, version).rows() for version in range(1, second.version + 1)]
        merchant_id = str(scalar(books, "SELECT merchant_id FROM merchants"))
        now = known_late_usage(connection, merchant_id)
    assert [[row[1:] for row in rows] for rows in by_version] == [
        [],
        [(timedelta(hours=2), "next_invoice", 3)],
        [(timedelta(hours=2), "report_only", 3)],
    ]
    assert now == LateUsage(timedelta(hours=2), "report_only", 3)
    assert scalar(books, "SELECT name FROM merchants") == "Acme Inc"


def test_whoever_says_nothing_has_the_defaults(books: Engine) -> None:
    """No grace, the difference on the next invoice, a year back."""
    apply_text(books, "merchant: {code: acme}")

    with transaction(books) as connection:
        found = known_late_usage(connection, str(scalar(books, "SELECT merchant_id FROM merchants")))

    assert found == DEFAULT_LATE_USAGE == LateUsage(timedelta(0), "next_invoice", 12)
