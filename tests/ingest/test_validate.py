"""The rules of the door."""

from __future__ import annotations

from collections.abc import Mapping

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ingest.columns import build_batch
from ingest.decode import decode_events
from ingest.event import body_hash, event_key
from ingest.needs import Needs
from ingest.texts import is_plain_ascii
from ingest.validate import Rules, judge
from ingest.verdict import Verdict

NOON = 1_700_481_600_000_000
NO_NEEDS: Mapping[str, Needs] = {}


def verdict_on(body: bytes, *, needs: Mapping[str, Needs] = NO_NEEDS, backfill: bool = False) -> Verdict:
    """Judge a JSON body received at noon on 2023-11-20."""
    rules = Rules("mer_1", NOON, needs, backfill=backfill, plain_ascii=is_plain_ascii(body))
    verdict = Verdict()
    judge(decode_events(body, "document"), 0, rules, verdict)
    return verdict


def verdict_of(*events: object, needs: Mapping[str, Needs] = NO_NEEDS, backfill: bool = False) -> Verdict:
    """Judge some events."""
    return verdict_on(orjson.dumps(list(events)), needs=needs, backfill=backfill)


def columns_of(verdict: Verdict) -> list[dict[str, object]]:
    """The accepted events as they go into the log."""
    rows: list[dict[str, object]] = build_batch(verdict.rows).to_pylist()
    return rows


def plain(**changes: object) -> dict[str, object]:
    """A good event of the plain form, with changes; a field changed to ``None`` is null."""
    event = {"id": "a", "type": "t", "subject": "s", "time": "2023-11-20T11:00:00Z", "properties": {"n": 1}}
    return {**event, **changes}


def test_the_three_forms_say_the_same() -> None:
    """A CloudEvent, the plain and the flat form end in the same columns."""
    time = "2023-11-20T11:00:00.5Z"
    cloud = {"specversion": "1.0", "id": "a", "source": "x", "type": "gpu", "subject": "c", "time": time}
    verdict = verdict_of(
        {**cloud, "data": {"amount": 1.5}, "extension": 1},
        {"id": "a", "source": "x", "type": "gpu", "subject": "c", "time": time, "properties": {"amount": 1.5}},
        {"id": "a", "customer_id": "c", "sku_id": "gpu", "amount": "1.5", "sent_at": time},
    )

    first, second, third = columns_of(verdict)

    assert first == second
    assert {**third, "source": "x", "key": first["key"]} == first
    assert first["properties"] == [("amount", "1.5")]
    assert str(first["occurred_at"]) == "2023-11-20 11:00:00.500000+00:00"


def test_hashes_are_those_of_the_hand_off() -> None:
    """The short cut through joined texts gives what ``event_key`` and ``body_hash`` define."""
    event = plain(source="src", properties={"z": 1, "a": "x", "m": {"k": [1, "2"]}})

    (row,) = columns_of(verdict_of(event))

    flat = {"z": "1", "a": "x", "m.k": '[1,"2"]'}
    assert row["key"] == event_key("mer_1", "src", "a")
    assert row["body_hash"] == body_hash("t", "s", "2023-11-20T11:00:00Z", flat)
    assert row["properties"] == sorted(flat.items())


def test_a_time_that_is_missing_is_that_of_receipt_and_not_part_of_the_body() -> None:
    """So two tries of one request are equal."""
    (row,) = columns_of(verdict_of(plain(time=None)))

    assert row["occurred_at"] == row["received_at"]
    assert row["body_hash"] == body_hash("t", "s", "", {"n": "1"})


@pytest.mark.parametrize(
    ("event", "code", "field"),
    [
        (plain(type=None), "type_missing", "type"),
        (plain(type=""), "type_empty", "type"),
        (plain(type=7), "wrong_type", "type"),
        (plain(subject=None), "subject_missing", "subject"),
        (plain(subject="x" * 257), "subject_too_long", "subject"),
        (plain(subject="é" * 129), "subject_too_long", "subject"),
        (plain(id=""), "id_empty", "id"),
        (plain(id="a\0"), "id_control_character", "id"),
        (plain(id="a\x7f"), "id_control_character", "id"),
        (plain(id="a\x85"), "id_control_character", "id"),
        (plain(id="x" * 10_000), "id_too_long", "id"),
        (plain(source="a\n"), "source_control_character", "source"),
        (plain(time="soon"), "time_invalid", "time"),
        (plain(time=True), "time_invalid", "time"),
        (plain(time={}), "time_invalid", "time"),
        (plain(time="2023-10-16T11:59:59Z"), "time_too_old", "time"),
        (plain(time="2023-11-20T12:05:01Z"), "time_ahead", "time"),
        (plain(properties=[]), "wrong_type", "properties"),
        (plain(properties={"x": "y\0"}), "property_value_nul", "properties"),
        (plain(properties={"x": "y" * 4097}), "property_value_too_long", "properties"),
        (plain(properties={"x" * 129: 1}), "property_name_too_long", "properties"),
        (plain(properties={str(i): 1 for i in range(65)}), "too_many_properties", "properties"),
        (plain(specversion="2.0", source="x"), "specversion_unknown", "specversion"),
        (plain(specversion="1.0"), "source_missing", "source"),
        (plain(specversion="1.0", source="x", data=4), "wrong_type", "data"),
        (plain(specversion="1.0", source="x", data_base64="eA=="), "data_not_object", "data_base64"),
        ({"customer_id": "c", "sku_id": "s"}, "amount_missing", "amount"),
        ({"customer_id": "c", "sku_id": "s", "amount": "much"}, "value_not_numeric", "amount"),
        ({"customer_id": "c", "sku_id": "s", "amount": [1]}, "value_not_numeric", "amount"),
        ({"customer_id": "c", "sku_id": "s", "amount": "1e-13"}, "value_too_precise", "amount"),
        ({"customer_id": "c", "amount": 1}, "type_missing", "type"),
        ({}, "type_missing", "type"),
    ],
)
def test_a_bad_event_is_refused_with_its_reason_and_its_neighbours_are_not(
    event: dict[str, object], code: str, field: str
) -> None:
    """Index, id, code and field are named."""
    verdict = verdict_of(plain(id="before"), event, plain(id="after"))

    (rejection,) = verdict.rejections
    assert (rejection.index, rejection.problem.code, rejection.problem.field) == (1, code, field)
    assert [row["event_id"] for row in columns_of(verdict)] == ["before", "after"]


def test_an_old_event_is_accepted_as_a_backfill() -> None:
    """Up to the years that a backfill may reach, and never from the future."""
    old = plain(time="2008-01-01T00:00:00Z")

    assert verdict_of(old, backfill=True).accepted == 1
    assert verdict_of(old).rejections[0].problem.code == "time_too_old"
    assert verdict_of(plain(time="1990-01-01T00:00:00Z"), backfill=True).rejections[0].problem.code == "time_too_old"
    assert verdict_of(plain(time="2024-01-01T00:00:00Z"), backfill=True).rejections[0].problem.code == "time_ahead"


NEEDS = {"t": Needs(("tokens",), ("cost",))}


@pytest.mark.parametrize(
    ("properties", "code"),
    [
        ({}, "value_missing"),
        ({"tokens": None}, "value_missing"),
        ({"tokens": "many"}, "value_not_numeric"),
        ({"tokens": True}, "value_not_numeric"),
        ({"tokens": [1]}, "value_not_numeric"),
        ({"tokens": "NaN"}, "value_not_numeric"),
        ({"tokens": 10**19}, "value_too_large"),
        ({"tokens": "0.0000000000001"}, "value_too_precise"),
    ],
)
def test_a_value_that_no_meter_could_count_is_refused(properties: dict[str, object], code: str) -> None:
    """Only for types whose meters need it."""
    verdict = verdict_of(plain(properties=properties), plain(id="b", type="other", properties=properties), needs=NEEDS)

    assert [(one.problem.code, one.problem.field) for one in verdict.rejections] == [(code, "properties.tokens")]
    assert [row["event_id"] for row in columns_of(verdict)] == ["b"]


def test_a_value_is_written_plainly_but_hashed_as_it_was_sent() -> None:
    """The digest must not change when a meter is added between two tries."""
    body = b'[{"id":"a","type":"t","subject":"s","properties":{"tokens":1.50e3,"cost":"0.10","x":2.0}}]'

    (row,) = columns_of(verdict_on(body, needs=NEEDS))

    assert row["properties"] == [("cost", "0.1"), ("tokens", "1500"), ("x", "2.0")]
    assert row["body_hash"] == body_hash("t", "s", "", {"tokens": "1.50e3", "cost": "0.10", "x": "2.0"})


def test_a_value_of_a_filtered_meter_is_left_alone_when_it_is_no_number() -> None:
    """The filter may leave the event out; the stream decides."""
    (row,) = columns_of(verdict_of(plain(properties={"tokens": 1, "cost": "free"}), needs=NEEDS))

    assert row["properties"] == [("cost", "free"), ("tokens", "1")]


def test_a_missing_id_is_made_and_told() -> None:
    """With the word that a retry is not safe."""
    verdict = verdict_of(plain(), plain(id=None))

    ((index, event_id),) = verdict.generated
    assert index == 1
    assert columns_of(verdict)[1]["event_id"] == event_id
    assert verdict.body()["retry_safe"] is False


def test_one_bad_event_in_a_thousand() -> None:
    """999 are accepted, one is refused by its index."""
    events = [plain(id=str(i)) for i in range(1000)]
    events[617]["subject"] = 617

    verdict = verdict_of(*events)

    assert verdict.accepted == 999
    assert [(one.index, one.event_id) for one in verdict.rejections] == [(617, None)]
    assert len(columns_of(verdict)) == 999


TEXTS = st.text(st.characters(codec="utf-8"), max_size=6)
VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | TEXTS,
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(TEXTS, inner, max_size=2),
    max_leaves=4,
)
FIELDS = ["specversion", "id", "source", "type", "subject", "time", "data", "properties", "customer_id", "sku_id"]
EVENTS = st.dictionaries(st.sampled_from([*FIELDS, "amount", "sent_at"]), VALUES, max_size=7) | VALUES


@given(st.lists(EVENTS, max_size=4), st.integers(0, 4))
def test_no_event_can_harm_its_neighbour(others: list[object], place: int) -> None:
    """Accepted and refused add up, a good event among any others is accepted, and all of it fits the columns."""
    good = plain(id="good one")
    events = [*others[:place], good, *others[place:]]

    verdict = verdict_of(*events, needs=NEEDS | {"t": Needs()})

    assert verdict.accepted + len(verdict.rejections) == len(events)
    rows = columns_of(verdict)
    assert "good one" in [row["event_id"] for row in rows]
    assert sorted({one.index for one in verdict.rejections}) == sorted(one.index for one in verdict.rejections)
    build_batch(verdict.rows).validate(full=True)
