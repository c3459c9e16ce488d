from __future__ import annotations

import json
from pathlib import Path

import pytest

from core.clock import SystemClock
from core.errors import Refused, Transient
from core.limits import BODY_BYTES_MAX
from runtime.bring_in.batches import batches_of
from runtime.bring_in.mapping import Mapping, make_mapping
from runtime.bring_in.ndjson_rows import NdjsonRows
from runtime.bring_in.row import RowFailure
from runtime.bring_in.run import Door, Outcome, Watcher, bring_in
from tests.runtime.scripted_door import Event, ScriptedDoor, open_door


def mapping() -> Mapping:
    """One customer, a count of units."""
    return make_mapping(type_="t", subject="c-1", time="at", properties=("n",))


def numbered_file(tmp_path: Path, rows: int) -> Path:
    """A CSV of this many rows, with row 3 lacking its time."""
    lines = ["at,n", *(f"{'' if row == 3 else '2023-11-16T00:00:00Z'},{row}" for row in range(1, rows + 1))]
    path = tmp_path / "usage.csv"
    path.write_text("\n".join(lines))
    return path


def run(path: Path, door: ScriptedDoor, home: Path, **options: object) -> Outcome:
    """Import with small batches."""
    fields = {"batch_events": 10, "connections": 3, "give_up_after_s": 5.0} | options
    return bring_in(path, mapping(), Door(door.url, "bb_x", **fields), home, SystemClock())  # type: ignore[arg-type]


def test_every_row_arrives_once_and_failures_carry_their_row_numbers(tmp_path: Path) -> None:
    """One row fails here, one at the gateway; the others are accepted, as backfill."""
    seen: list[RowFailure] = []
    shares: list[float] = []
    with open_door(429, "drop", 503) as door:
        door.refuse = lambda event: ("why", "because") if event["properties"]["n"] == "25" else None
        outcome = bring_in(
            numbered_file(tmp_path, 95),
            mapping(),
            Door(door.url, "bb_x", batch_events=10),
            tmp_path,
            SystemClock(),
            watcher=Watcher(lambda share, _rows: shares.append(share), seen.append),
        )
    assert (outcome.rows, outcome.accepted, outcome.failed) == (95, 93, 2)
    assert sorted((failure.row, failure.code) for failure in outcome.failures) == [(3, "time_missing"), (25, "why")]
    assert sorted(seen, key=lambda failure: failure.row) == sorted(outcome.failures, key=lambda failure: failure.row)
    assert outcome.failed_by_code == {"time_missing": 1, "why": 1}
    assert sorted(int(event["properties"]["n"]) for event in door.taken) == [
        row for row in range(1, 96) if row not in (3, 25)
    ]
    assert set(door.paths) == {"/v1/events?backfill=true"}
    assert max(shares) == 1


def test_a_second_import_sends_the_same_ids(tmp_path: Path) -> None:
    """So that the dedupe adds nothing."""
    path = numbered_file(tmp_path, 40)
    with open_door() as door:
        run(path, door, tmp_path)
        first = {event["id"]: event for event in door.taken}
        door.taken.clear()
        assert run(path, door, tmp_path).rows == 40
    assert {event["id"]: event for event in door.taken} == first


def test_an_import_that_was_cut_off_goes_on_after_the_last_answered_row(tmp_path: Path) -> None:
    """The second run sends the rest only, and its counts cover the whole file."""
    path = numbered_file(tmp_path, 100)
    with open_door("take", "take", *[503] * 50) as door:
        with pytest.raises(Transient):
            run(path, door, tmp_path, connections=1, give_up_after_s=0.2)
        door.script.clear()
        outcome = run(path, door, tmp_path, connections=1)
    assert outcome.resumed_after_row == 21
    assert outcome.rows == 79
    assert (outcome.accepted, outcome.failed) == (99, 1)
    numbers = [int(event["properties"]["n"]) for event in door.taken]
    assert sorted(numbers) == [row for row in range(1, 101) if row != 3]
    assert not list(tmp_path.glob("imports/*.json")), "a complete import leaves no mark"


def test_the_mark_never_passes_over_a_batch_without_an_answer(tmp_path: Path) -> None:
    """While one connection is stuck on the first batch, later batches do not move the mark."""
    path = numbered_file(tmp_path, 100)

    def first_batch_is_stuck(event: Event) -> tuple[str, str] | None:
        if event["id"].endswith("-1"):
            raise ConnectionAbortedError
        return None

    with open_door() as door:
        door.refuse = first_batch_is_stuck
        with pytest.raises(Transient):
            run(path, door, tmp_path, connections=3, give_up_after_s=0.3)
        arrived = len(door.taken)
        door.refuse = lambda _event: None
        outcome = run(path, door, tmp_path)
    assert arrived > 0
    assert outcome.resumed_after_row == 0
    assert outcome.accepted == 99


def test_batches_stay_within_the_gateway_s_bounds(tmp_path: Path) -> None:
    """Large rows are spread over bodies; a row beyond all bounds fails by itself."""
    path = tmp_path / "large.ndjson"
    values = ["x" * 100_000] * 100 + ["y" * (BODY_BYTES_MAX + 1)]
    path.write_text("\n".join(json.dumps({"at": "2023-11-16", "n": value}) for value in values))
    source = NdjsonRows(path)
    batches = list(batches_of(source, mapping(), "abc", events_max=1_000))
    source.close()
    assert all(len(batch.body) <= BODY_BYTES_MAX for batch in batches)
    assert len(batches) == 3
    assert [row for batch in batches for row in batch.rows] == list(range(1, 101))
    assert sum(len(json.loads(batch.body)) for batch in batches) == 100
    assert [(failure.row, failure.code) for failure in batches[-1].failures] == [(101, "row_too_large")]


def test_files_that_cannot_be_read_are_refused(tmp_path: Path) -> None:
    """Missing, or of a format that nobody named."""
    (tmp_path / "usage.dat").write_text("x")
    with open_door() as door:
        for name, code in (("absent.csv", "file_missing"), ("usage.dat", "format_unknown")):
            with pytest.raises(Refused) as caught:
                run(tmp_path / name, door, tmp_path)
            assert caught.value.code == code
    assert not door.paths
