from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from core.errors import Refused
from runtime.bring_in.identity import event_id, file_digest, import_id
from runtime.bring_in.mapping import check_columns, event_of, make_mapping
from runtime.bring_in.row import Row, RowFailure


def test_an_event_s_id_comes_from_the_file_s_bytes_the_type_and_the_row(tmp_path: Path) -> None:
    """Worked out by hand; the file's name has no part in it."""
    (tmp_path / "one.csv").write_bytes(b"a,b\n1,2\n")
    (tmp_path / "two.csv").write_bytes(b"a,b\n1,2\n")
    digest = hashlib.sha256(b"a,b\n1,2\n").hexdigest()
    assert file_digest(tmp_path / "one.csv") == file_digest(tmp_path / "two.csv") == digest
    expected = hashlib.sha256(digest.encode() + b"\0" + b"llm.request").hexdigest()[:32] + "-7"
    assert event_id(import_id(digest, "llm.request"), 7) == expected
    assert import_id(digest, "other") != import_id(digest, "llm.request")


def test_a_row_becomes_an_event_of_the_plain_form() -> None:
    """The subject given for all rows; chosen columns under their own or another name; empty ones left out."""
    mapping = make_mapping(type_="t", subject="c-1", time="at", properties=("tokens", "model=m", "absent"))
    row = Row(3, {"at": "2023-11-16 18:17:03.9799600", "tokens": "4808", "m": "x", "other": "1"})
    assert event_of(mapping, "abc", row) == {
        "id": "abc-3",
        "source": "import",
        "type": "t",
        "subject": "c-1",
        "time": "2023-11-16 18:17:03.9799600",
        "properties": {"tokens": "4808", "model": "x"},
    }


def test_a_value_column_is_the_amount_of_a_sku() -> None:
    """As in the flat form of an event."""
    mapping = make_mapping(type_="gpu-hour", subject_column="who", time="at", value="hours")
    event = event_of(mapping, "abc", Row(1, {"at": "1700000000", "who": "c-9", "hours": "1.50"}))
    assert isinstance(event, dict)
    assert (event["subject"], event["properties"]) == ("c-9", {"amount": "1.50"})


def test_without_named_properties_all_other_columns_are_sent() -> None:
    """All but those that were used already."""
    mapping = make_mapping(type_="t", subject_column="who", time="at")
    event = event_of(mapping, "abc", Row(1, {"at": "1700000000", "who": "c", "a": "1", "b": "2"}))
    assert isinstance(event, dict)
    assert event["properties"] == {"a": "1", "b": "2"}


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"at": "2023-11-16"}, "subject_missing"),
        ({"who": "c"}, "time_missing"),
        ({"who": "c", "at": "2023-02-30"}, "time_invalid"),
    ],
)
def test_a_row_that_lacks_what_an_event_needs_fails_with_its_number(fields: dict[str, str], code: str) -> None:
    """And with a code that says what."""
    failure = event_of(make_mapping(type_="t", subject_column="who", time="at"), "abc", Row(12, fields))
    assert isinstance(failure, RowFailure)
    assert (failure.row, failure.code) == (12, code)


def test_contradictions_and_missing_columns_are_refused_before_anything_is_sent() -> None:
    """Both subjects, none, two properties of one name, an unknown zone, a column that is not there."""
    for fields in (
        {"subject": "a", "subject_column": "b"},
        {},
        {"subject": "a", "properties": ("x", "x=y")},
        {"subject": "a", "zone": "Mars/Olympus"},
    ):
        with pytest.raises(Refused):
            make_mapping(type_="t", time="at", **fields)
    with pytest.raises(Refused, match="no column tokns; it has at, tokens"):
        check_columns(make_mapping(type_="t", subject="a", time="at", properties=("tokns",)), ["at", "tokens"])
