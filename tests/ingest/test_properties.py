"""Properties as flat text."""

from __future__ import annotations

from typing import Any

import msgspec
import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import BadEvent
from core.limits import DEPTH_MAX, PROPERTIES_MAX
from ingest.needs import Needs
from ingest.properties import find_text_fault, flatten, plan_layout
from ingest.shape import NumberText

DECODER = msgspec.json.Decoder(dict[str, Any], float_hook=NumberText)


def flat(json_text: str) -> dict[str, str]:
    """The flattened properties of a JSON object."""
    names, texts = flatten(DECODER.decode(json_text))
    return dict(zip(names, texts, strict=True))


def test_scalars_become_the_text_that_was_written() -> None:
    """Numbers digit by digit, booleans as JSON has them, and nulls not at all."""
    found = flat('{"a":"x","b":1,"c":1.50,"d":1e-7,"e":true,"f":false,"g":null,"h":""}')

    assert found == {"a": "x", "b": "1", "c": "1.50", "d": "1e-7", "e": "true", "f": "false", "h": ""}


def test_nested_objects_get_dotted_names() -> None:
    """And an empty one leaves nothing."""
    assert flat('{"a":{"b":{"c":1},"d":"x"},"e":{}}') == {"a.b.c": "1", "a.d": "x"}


def test_arrays_become_json_with_their_numbers_as_written() -> None:
    """A string that looks like a number stays a string."""
    assert flat('{"a":[1.50,"1.50",null,true,{"b":[]},"\\u00e9\\""]}') == {
        "a": '[1.50,"1.50",null,true,{"b":[]},"é\\""]'
    }


def nested(depth: int, inner: str) -> str:
    """An object so many levels deep."""
    return '{"a":' * depth + inner + "}" * depth


@pytest.mark.parametrize(
    ("json_text", "code"),
    [
        ('{"a.b":1,"a":{"b":2}}', "property_twice"),
        (nested(DEPTH_MAX + 1, "1"), "too_deep"),
        ('{"a":' + "[" * (DEPTH_MAX + 1) + "]" * (DEPTH_MAX + 1) + "}", "too_deep"),
        ('{"a":[' + ",".join("1" * 5000) + "]}", "property_value_too_long"),
        (orjson.dumps({"x": {f"p{i}": 1 for i in range(PROPERTIES_MAX + 1)}}).decode(), "too_many_properties"),
    ],
)
def test_shapes_beyond_the_limits_are_refused(json_text: str, code: str) -> None:
    """Each with its own code."""
    with pytest.raises(BadEvent) as bad:
        flat(json_text)

    assert bad.value.code == code


def test_the_deepest_allowed_nesting_is_accepted() -> None:
    """The limit itself is within it."""
    assert flat(nested(DEPTH_MAX, "1")) == {".".join("a" * DEPTH_MAX): "1"}


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (("",), "property_name_invalid"),
        (("a\0b",), "property_name_invalid"),
        (("a\nb",), "property_name_invalid"),
        (("é" * 65,), "property_name_too_long"),
        (tuple(map(str, range(PROPERTIES_MAX + 1))), "too_many_properties"),
    ],
)
def test_names_beyond_the_rules_are_refused(names: tuple[str, ...], code: str) -> None:
    """Each with its own code."""
    with pytest.raises(BadEvent) as bad:
        plan_layout(names, Needs())

    assert bad.value.code == code


def test_long_values_and_nul_are_found_in_the_event_that_has_them() -> None:
    """Length counts bytes, not characters."""
    too_long = find_text_fault(("a", "b"), ["x" * 2000, "é" * 2049])
    nul = find_text_fault(("a", "b"), ["x", "y\0"])

    assert too_long is not None
    assert too_long.code == "property_value_too_long"
    assert nul is not None
    assert nul.code == "property_value_nul"
    assert find_text_fault(("a",), ["x" * 4096]) is None


@given(
    st.dictionaries(st.text(min_size=1, max_size=3), st.integers() | st.text(max_size=3) | st.booleans(), max_size=6)
)
def test_flat_properties_keep_their_names_and_order(properties: dict[str, Any]) -> None:
    """What is flat already is only turned into text."""
    names, texts = flatten(properties)

    assert list(names) == list(properties)
    assert all(type(text) is str for text in texts)
