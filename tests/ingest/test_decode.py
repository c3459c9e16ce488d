"""Bodies become events, and one that cannot be read fails alone."""

from __future__ import annotations

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from core.errors import Problem, Refused
from core.limits import EVENTS_PER_REQUEST_MAX
from ingest.decode import Layout, decode_events
from ingest.shape import NumberText, Shape

GOOD = b'{"id":"a","type":"t","subject":"s","properties":{"n":1}}'


def codes(body: bytes, layout: Layout = "document") -> list[str]:
    """What became of each event: its id, or the code of what is wrong with it."""
    return [item.code if isinstance(item, Problem) else str(item.id) for item in decode_events(body, layout)]


def test_numbers_keep_the_text_they_were_sent_with() -> None:
    """A number beyond a double's precision, an exponent and trailing zeros survive as written."""
    body = b'{"properties":{"a":0.1000000000000000055511151231257827,"b":1.50,"c":2E3,"d":12345678901234567890123}}'

    (shape,) = decode_events(body, "document")

    assert isinstance(shape, Shape)
    assert shape.properties == {
        "a": NumberText("0.1000000000000000055511151231257827"),
        "b": NumberText("1.50"),
        "c": NumberText("2E3"),
        "d": 12345678901234567890123,
    }


@pytest.mark.parametrize(
    ("bad", "code"),
    [
        (b"4", "event_not_object"),
        (b'{"id":4}', "wrong_type"),
        (b'{"id":1.5}', "wrong_type"),
        (b'{"data":[]}', "wrong_type"),
        (b'{"id":"\\ud800"}', "text_not_unicode"),
        (b'{"id":"\xff"}', "json_malformed"),
        (b'{"time":' + b"9" * 5000 + b"}", "number_too_long"),
    ],
)
def test_an_event_that_cannot_be_read_fails_alone(bad: bytes, code: str) -> None:
    """Its neighbours before and after it are decoded all the same."""
    body = b"[" + GOOD + b"," + bad + b"," + GOOD + b"]"

    assert codes(body) == ["a", code, "a"]


@pytest.mark.parametrize("bad", [b"{", b"nonsense", b'{"id":NaN}', b'{"a":1}{"a":2}', b'{"id":"\\ud800"}', b"\xff"])
def test_a_bad_line_fails_alone(bad: bytes) -> None:
    """In NDJSON even malformed JSON stays within its line."""
    outcome = codes(GOOD + b"\n" + bad + b"\r\n\n" + GOOD, "lines")

    assert outcome[0] == outcome[2] == "a"
    assert outcome[1] in {"json_malformed", "text_not_unicode"}


@pytest.mark.parametrize("body", [b"", b"{", b"[1,", b"NaN", b'{"id":NaN}', b"\xff\xfe", b"[" + GOOD + b"],"])
def test_a_body_that_is_no_json_is_refused_whole(body: bytes) -> None:
    """400, with a code for programs."""
    with pytest.raises(Refused) as refused:
        decode_events(body, "document")

    assert (refused.value.status, refused.value.code) == (400, "json_malformed")


@pytest.mark.parametrize(
    "body", [b"[" * 10**6, b'{"data":' * 10**5, b"[" + GOOD + b',{"data":{"a":' + b"[" * 10**5 + b"]" * 10**5]
)
def test_nesting_without_end_is_refused(body: bytes) -> None:
    """A million open brackets raise nothing but a refusal."""
    assert status_of(body, "document") in {400, 413, 422}


def test_deep_nesting_in_one_event_spares_the_others() -> None:
    """Nesting that the decoder still walks is the one event's fault."""
    deep = b'{"data":{"a":' + b"[" * 300 + b"]" * 300 + b"}}"

    assert codes(b"[" + GOOD + b"," + deep + b"]")[0] == "a"


def status_of(body: bytes, layout: Layout) -> int:
    """The status with which a body is refused, 422 when each of its events is, 202 when one is fine."""
    try:
        decoded = decode_events(body, layout)
    except Refused as refused:
        return refused.status
    assert all(isinstance(item, Shape | Problem) for item in decoded), "nothing else comes out"
    return 202 if any(isinstance(item, Shape) for item in decoded) else 422


@pytest.mark.parametrize("layout", ["document", "lines"])
def test_too_many_events_are_refused(layout: Layout) -> None:
    """The limit itself is fine, one more is 413."""
    separator = b"\n" if layout == "lines" else b","
    bodies = [separator.join([b"{}"] * count) for count in (EVENTS_PER_REQUEST_MAX, EVENTS_PER_REQUEST_MAX + 1)]

    statuses = [status_of(body if layout == "lines" else b"[" + body + b"]", layout) for body in bodies]

    assert statuses == [202, 413]


def test_a_body_of_countless_values_is_refused_before_it_is_decoded() -> None:
    """Four megabytes of empty arrays would be a hundred of objects."""
    with pytest.raises(Refused) as refused:
        decode_events(b'{"data":{"a":[' + b"[]," * 1_300_000 + b"1]}}", "document")

    assert refused.value.status == 413


def test_no_events_are_refused() -> None:
    """An empty array or an empty NDJSON body is a mistake of the sender."""
    for body, layout in ((b"[]", "document"), (b"\n\n", "lines")):
        with pytest.raises(Refused) as refused:
            decode_events(body, layout)  # type: ignore[arg-type]
        assert refused.value.code == "no_events"


@given(st.binary(max_size=200), st.sampled_from(["document", "lines"]))
def test_any_bytes_are_decoded_or_refused(body: bytes, layout: Layout) -> None:
    """No other exception escapes."""
    assert status_of(body, layout) in {202, 400, 413, 422}


JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**70), 2**70) | st.text(max_size=5) | st.just(1.5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


@given(st.lists(JSON_VALUES, max_size=5), st.integers(0, 5))
def test_good_events_survive_any_neighbours(others: list[object], place: int) -> None:
    """Whatever valid JSON stands beside it, a good event is decoded at its place."""
    parts = [json_bytes(one) for one in others]
    place = min(place, len(parts))
    parts.insert(place, GOOD)

    decoded = decode_events(b"[" + b",".join(parts) + b"]", "document")

    assert len(decoded) == len(parts)
    survivor = decoded[place]
    assert isinstance(survivor, Shape)
    assert survivor.id == "a"


def json_bytes(value: object) -> bytes:
    """JSON with integers of any size, which orjson does not write."""
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value).encode()
    if isinstance(value, list):
        return b"[" + b",".join(map(json_bytes, value)) + b"]"
    if isinstance(value, dict):
        return b"{" + b",".join(orjson.dumps(name) + b":" + json_bytes(inner) for name, inner in value.items()) + b"}"
    return orjson.dumps(value)
