"""YAML as text."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from catalog.yaml_text import YAML_BYTES_MAX, Value, read_yaml
from core.errors import Refused


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ("0.0000025", "0.0000025"),
        ("2.50", "2.50"),
        ("'2.50'", "2.50"),
        ("1e3", "1e3"),
        ("007", "007"),
        ("1_000", "1_000"),
        ("12:30", "12:30"),
        ("no", "no"),
        ("2023-11-01", "2023-11-01"),
        ("0.1000000000000000055511151231257827", "0.1000000000000000055511151231257827"),
        ("true", True),
        ("'true'", "true"),
        ("null", None),
        ("~", None),
        ("'~'", "~"),
        ("", None),
    ],
)
def test_a_scalar_is_the_text_that_was_written(written: str, read: Value) -> None:
    """Numbers, days and words stay text; only true, false and null have a meaning, and only unquoted."""
    assert read_yaml(f"a: {written}\n".encode()) == [{"a": read}]


def test_documents_are_read_one_by_one() -> None:
    """Three dashes part documents; an empty one is null."""
    assert read_yaml(b"a: 1\n---\n- b\n---\n") == [{"a": "1"}, ["b"], None]


def test_a_byte_order_mark_is_skipped() -> None:
    """Files from Windows editors begin with one."""
    assert read_yaml(b"\xef\xbb\xbfa: 1\n") == [{"a": "1"}]


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("a: 1\nb: !!python/object/apply:os.system [ls]", "line 2, column 4: tags are not allowed"),
        ("a: !!float 1", "line 1, column 4: tags are not allowed"),
        ("a: &x [1]\nb: *x", "line 1, column 4: anchors and aliases are not allowed: write the value out"),
        ("&x a: 1", "line 1, column 1: anchors and aliases are not allowed: write the value out"),
        ("a: 1\nb: 2\na: 3", "line 3, column 1: 'a' is given twice"),
        ("[a]: 1", "line 1, column 1: a field's name must be a text"),
        ("a: [1", "line 2, column 1: did not find expected ',' or ']'"),
        ("[" * 2000, "line 1, column 14: nested deeper than 12 levels"),
        ("a: \x07", "not YAML: unacceptable character #x0007: control characters are not allowed"),
    ],
)
def test_tricks_and_broken_text_are_refused_with_their_place(source: str, message: str) -> None:
    """Nothing in a file can build an object, unfold into more than was sent, or mean two things."""
    with pytest.raises(Refused) as refused:
        read_yaml(source.encode())

    assert refused.value.code == "yaml_invalid"
    assert refused.value.message.startswith(message)


def test_a_file_over_the_bound_is_refused_unread() -> None:
    """The size is looked at before anything else."""
    with pytest.raises(Refused) as refused:
        read_yaml(b"x" * (YAML_BYTES_MAX + 1))

    assert (refused.value.code, refused.value.status) == ("file_too_large", 413)


def test_a_file_that_is_not_utf8_is_refused() -> None:
    """Guessing an encoding would change customers' names."""
    with pytest.raises(Refused, match="byte 3"):
        read_yaml("a: ü".encode("latin-1"))


VALUES = st.recursive(
    st.none() | st.booleans() | st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text("abc", min_size=1), inner, max_size=3),
    max_leaves=8,
)


@given(st.dictionaries(st.text("abc", min_size=1), VALUES, max_size=3))
def test_json_is_read_as_it_is(value: dict[str, Value]) -> None:
    """A JSON document means the same here, for JSON is YAML."""
    assert read_yaml(json.dumps(value, ensure_ascii=False).encode()) == [value]
