"""A replay over corrections and fills: what they restated comes back as well, byte for byte."""

from __future__ import annotations

from datetime import UTC, datetime

from runtime.fill.run import fill, find_meter
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts
from tests.runtime.corrections.conftest import CATALOG, Sender, apply, event
from tests.runtime.replay.replayed import rows_of, run, run_json, same_rows, truncate

DAY = datetime(2023, 11, 1, tzinfo=UTC)
NEW_METER = """meters:
  - {code: big, event_type: call, aggregation: sum, value: size, filters: [{property: size, op: ne, values: ["1"]}]}"""


def test_restated_windows_come_back_byte_for_byte(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """Retractions, amendments and a fill of a new meter, with events before, between and after."""
    sender.send([event(n, "c-1" if n % 3 else "c-2") for n in range(200)])
    sender.settle()
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(0, 200, 5)])
    sender.correct([{"action": "amend", "event": event(n, "c-2", size=f"{n}.25")} for n in range(1, 200, 4)])
    sender.send([event(n) for n in range(200, 240)])
    sender.settle()
    apply(sender.line, CATALOG.replace("meters:", NEW_METER, 1))
    meter, types = find_meter(sender.line.books, merchant_of(sender), "big")
    fill(releasing, log_sender, meter, types, (DAY, DAY.replace(day=2)))
    sender.send([event(n) for n in range(240, 260)])
    sender.correct([{"action": "retract", "id": f"e{n}"} for n in range(3, 240, 7)])
    sender.settle()
    parts, before = sender.audited, rows_of(sender.audited)
    code, clean = run_json("--check")
    assert (code, clean["equal"], clean["damaged"]) == (0, clean["blocks"], [])

    truncate(parts)
    code, lost = run_json("--check")
    assert (code, lost["damaged"]) == (1, []) and lost["differing"] > lost["blocks"] // 2
    code, said = run_json()

    assert (code, said["damaged"], said["blocks"]) == (0, [], clean["blocks"])
    assert same_rows(parts, before)
    assert run("--check", "--from", "2023-11-01", "--to", "2023-11-02", "--merchant", "acme")[0] == 0


def merchant_of(sender: Sender) -> str:
    """The id of the merchant who sends."""
    return str(sender.line.store.query_frame("SELECT toString(any(merchant_id)) AS id FROM usage_events")["id"][0])
