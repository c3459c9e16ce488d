from __future__ import annotations

from collections import Counter

import pytest

from core.clock import SystemClock
from core.errors import Refused, Transient
from runtime.traffic.ledger import SimulatorLedger
from runtime.traffic.send import SendOptions, send_plan
from tests.runtime.scripted_door import Event, Step, open_door
from tests.runtime.traffic.plans import sent_events, small_plan


def refuse_bad(event: Event) -> tuple[str, str] | None:
    """What any door must refuse of the simulated events."""
    if "subject" not in event:
        return "subject_missing", "no subject"
    if not event["type"]:
        return "type_missing", "no type"
    return ("time_invalid", "no time") if event["time"].startswith("2023-13") else None


def test_everything_is_sent_once_with_each_merchant_s_key_and_answers_are_noted() -> None:
    """Accepted and refused counts are those of the door, and every event has an answer."""
    ledger = SimulatorLedger(small_plan(invalid_share=0.01))
    heard: list[int] = []
    with open_door() as door:
        door.refuse = refuse_bad
        options = SendOptions(door.url, [f"bb_{index}" for index in range(4)], connections=3)
        report = send_plan(ledger, options, SystemClock(), heard.append)
    assert ledger.accepted == len(door.taken)
    assert ledger.accepted + ledger.refused == ledger.answered == ledger.plan.events == report.events == sum(heard)
    assert set(ledger.refused_by_code) == {"subject_missing", "type_missing", "time_invalid"}
    assert door.keys == {"bb_0", "bb_1", "bb_2", "bb_3"}
    assert (ledger.retries, ledger.maybe_repeated) == (0, 0)
    assert report.requests == ledger.requests == len(report.waits_s)


def test_a_lost_answer_is_tried_again_with_the_same_ids_and_counted_as_maybe_repeated() -> None:
    """The door kept the batch twice; the ledger acknowledges it once and knows how many copies there may be."""
    ledger = SimulatorLedger(small_plan(events=2_000, repeat_share=0, invalid_share=0, merchants=1))
    with open_door("take", "take_then_drop", 503, 429, "drop") as door:
        send_plan(ledger, SendOptions(door.url, ["bb_x"], connections=1), SystemClock())
    copies = Counter(event["id"] for event in door.taken)
    assert ledger.accepted == len(copies) == 2_000
    assert sum(copies.values()) == 2_000 + 500
    assert ledger.retries == 4
    # The 429 alone says that nothing was kept.
    assert ledger.maybe_repeated == 1_500


def test_a_conflict_never_overtakes_the_event_that_it_contradicts() -> None:
    """With many connections and lost answers, the first copy to arrive is always the first copy sent."""
    plan = small_plan(conflict_share=0.01, repeat_share=0, merchants=2)
    ledger = SimulatorLedger(plan)
    script: list[Step] = ["drop", "take", 429, "take_then_drop"] * 5
    with open_door(*script) as door:
        send_plan(ledger, SendOptions(door.url, ["bb_x"] * 2, connections=8), SystemClock())
    first_values: dict[str, object] = {}
    for event in door.taken:
        first_values.setdefault(event["id"], event["data"]["value"])
    sent = sorted(sent_events(plan), key=lambda one: one[1])
    expected: dict[str, object] = {}
    for _merchant, _ordinal, event in sent:
        expected.setdefault(event["id"], event["data"]["value"])
    assert len(expected) < len(sent), "there are conflicts"
    assert first_values == expected


def test_a_wrong_key_ends_the_sending_with_the_gateway_s_words() -> None:
    """A whole request refused is no matter for retries."""
    ledger = SimulatorLedger(small_plan(events=100))
    with open_door(401) as door, pytest.raises(Refused, match="scripted 401"):
        send_plan(ledger, SendOptions(door.url, ["bb_x"] * 4, connections=2), SystemClock())


def test_a_gateway_that_stays_away_is_given_up_after_the_time_limit() -> None:
    """The last problem is named."""
    ledger = SimulatorLedger(small_plan(events=100))
    with open_door(*[503] * 100) as door:
        options = SendOptions(door.url, ["bb_x"] * 4, connections=1, give_up_after_s=0.3)
        with pytest.raises(Transient, match="status 503"):
            send_plan(ledger, options, SystemClock())
    assert ledger.answered == 0


def test_a_rate_spreads_the_requests_over_time() -> None:
    """Two thousand events at four thousand a second take about half a second."""
    ledger = SimulatorLedger(small_plan(events=2_000, merchants=1, request_events=100))
    with open_door() as door:
        report = send_plan(ledger, SendOptions(door.url, ["bb_x"], rate=4_000), SystemClock())
    assert 0.4 < report.seconds < 2
