"""Held events and corrections that are counted by themselves once they can be."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from core.errors import Conflict
from runtime.release.find import find_held
from runtime.release.schedule import release_for_ever
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts, release_turn, sole_turn
from tests.runtime.corrections.conftest import CATALOG, Sender, apply, event, expected, until, usage

# What was missing: a SKU of its own meter, and a customer.
MORE = CATALOG.replace(
    "meters:\n", "meters:\n  - {code: gpu, event_type: gpu, aggregation: sum, value: size}\n"
).replace("customers:\n", "customers:\n  - {key: c-3, name: Three, zone: UTC, currency: USD}\n")
FATES = """
    SELECT toString(action) AS action, toString(fate) AS fate, toString(reason) AS reason FROM usage_events
    WHERE event_id = {id:String} ORDER BY stored_at, kafka_offset, position
"""


@contextmanager
def released_by_itself(parts: ReleaseParts) -> Iterator[None]:
    """The process of ``millrace releaser``, as a thread."""
    stopping = threading.Event()
    thread = threading.Thread(target=release_for_ever, args=(parts, 3600.0, stopping))
    thread.start()
    try:
        yield
    finally:
        stopping.set()
        thread.join(60)


def fates(sender: Sender, event_id: str) -> list[tuple[str, str]]:
    """All rows of an event, in order."""
    found = sender.line.store.query_frame(FATES, {"id": event_id})
    return [(action, fate) for action, fate, _reason in found.iter_rows()]


def test_events_of_an_unknown_sku_and_customer_are_counted_once_both_are_known(
    sender: Sender, releasing: ReleaseParts
) -> None:
    """The catalog that names them is all it takes; nobody sends anything again."""
    known = [event(n) for n in range(40)]
    of_sku = [event(100 + n) | {"type": "gpu"} for n in range(60)]
    of_customer = [event(200 + n, "c-3") for n in range(60)]
    of_both = [event(300 + n, "c-3") | {"type": "gpu"} for n in range(20)]
    of_nobody = [event(400 + n, "c-4") for n in range(5)]
    sender.send([*known, *of_sku, *of_customer, *of_both, *of_nobody])
    sender.settle()
    assert usage(sender.line) == expected(known)

    with released_by_itself(releasing):
        apply(sender.line, MORE)
        until(lambda: len(usage(sender.line)) >= len(expected([*known, *of_customer])))
        until(lambda: fates(sender, "e319") == [("event", "held"), ("release", "stored")])

    gpu = sender.line.store.query_frame("SELECT toString(sum(quantity)) AS n FROM usage_total WHERE meter = 'gpu'")
    assert gpu["n"][0] == str(sum(one["properties"]["size"] for one in (*of_sku, *of_both)))
    counted = {key: value for key, value in usage(sender.line).items() if key[1] != "gpu"}
    assert counted == expected([*known, *of_customer])
    assert fates(sender, "e400") == [("event", "held")]
    sender.audit_agrees()


def test_a_turn_tries_nothing_twice_and_what_is_bad_again_when_the_catalog_changed(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """An event that its new meter cannot read is rejected once for each version of the catalog, until it can."""
    sender.send([event(1) | {"type": "gpu", "properties": {"hours": 3, "size": "many"}}])
    sender.send([event(n, "c-9") for n in range(2, 30)])
    sender.settle()
    assert release_turn(releasing, log_sender).sent == 0

    apply(sender.line, MORE)
    assert release_turn(releasing, log_sender).events == 1
    assert release_turn(releasing, log_sender).sent == 0
    assert fates(sender, "e1") == [("event", "held"), ("release", "rejected")]
    apply(
        sender.line,
        MORE.replace(
            "event_type: gpu, aggregation: sum, value: size", "event_type: gpu, aggregation: sum, value: hours"
        ),
    )
    assert release_turn(releasing, log_sender).events == 1
    assert release_turn(releasing, log_sender).sent == 0
    assert fates(sender, "e1") == [("event", "held"), ("release", "rejected"), ("release", "stored")]
    with sole_turn(releasing), pytest.raises(Conflict, match="release_running"):
        release_turn(releasing, log_sender)
    sender.audit_agrees()


def test_a_correction_that_came_before_its_event_is_made_when_the_event_is_there(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """Retractions and amendments, and two of them of one event in their order; those without an event go on waiting."""
    changed = event(2, size="8.5")
    sender.ask("POST", "/v1/corrections", [{"action": "retract", "id": "e1"}, {"action": "amend", "event": changed}])
    sender.ask("POST", "/v1/corrections", [{"action": "retract", "id": f"e{n}"} for n in (3, 4)])
    sender.settle()
    sender.ask("POST", "/v1/corrections", [{"action": "amend", "event": event(3, size=9)}])
    sender.settle()
    assert fates(sender, "e1") == [("retract", "held")]
    assert release_turn(releasing, log_sender).sent == 0

    sender.send([event(n) for n in (1, 2, 3)])
    sender.settle()
    assert release_turn(releasing, log_sender).corrections == 3
    assert release_turn(releasing, log_sender).corrections == 1
    assert release_turn(releasing, log_sender).sent == 0

    del sender.alive["e1"]
    sender.alive |= {"e2": changed, "e3": event(3, size=9)}
    sender.agrees()
    assert fates(sender, "e4") == [("retract", "held")]


def test_a_turn_that_dies_after_sending_is_made_up_for(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """What was sent and not seen to be stored is sent again: the second is a duplicate, and counts nothing."""
    sender.send([event(n, "c-3") for n in range(80)])
    sender.settle()
    apply(sender.line, MORE)
    found = find_held(sender.line.books, sender.line.store, sender.line.topic, closed=(), release_id="rel_1", rows=30)
    for batch in list(found):
        log_sender.send_by_key(batch)
    log_sender.flush()
    release_turn(releasing, log_sender)

    assert release_turn(releasing, log_sender).sent == 0
    assert fates(sender, "e0")[:2] == [("event", "held"), ("release", "stored")]
    sender.agrees()
