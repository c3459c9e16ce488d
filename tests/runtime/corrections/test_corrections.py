"""Retractions and amendments through the public doors of a running line, for meters of every aggregation."""

from __future__ import annotations

from tests.runtime.corrections.conftest import Sender, event


def test_retracted_and_amended_events_count_as_if_they_had_never_been_sent_so(sender: Sender) -> None:
    """Of two customers, many minutes and all partitions: one by one, many at once, twice, and back again."""
    sender.send([event(n, "c-1" if n % 3 else "c-2") for n in range(300)])
    sender.settle()
    sender.agrees()

    sender.ask("POST", "/v1/events/e7/retract", {"reason": "a test"})
    sender.alive.pop("e7")
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(0, 300, 5)])
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(0, 300, 10)])
    sender.settle()
    sender.agrees()

    # Whole minutes go, values change, an event moves to another customer and minute, and one comes back.
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(40, 60)])
    changed = [event(n, "c-2", size=f"{n}.25") for n in range(61, 120, 4)]
    moved = event(121, "c-1") | {"subject": "c-2", "time": "2023-11-02T08:00:00Z"}
    back = event(45, "c-1", size="0.5")
    sender.correct([{"action": "amend", "event": one} for one in (*changed, moved, back)])
    sender.settle()
    sender.agrees()

    put = event(64, size="1e3") | {"properties": {"size": 1000}}
    sender.ask("PUT", "/v1/events/e64", put)
    sender.alive["e64"] = put
    sender.send([event(45), event(7), event(400)])
    del sender.alive["e7"]
    sender.settle()
    sender.agrees()
