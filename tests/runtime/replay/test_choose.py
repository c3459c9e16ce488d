"""Passes: which blocks are read at once, and in which order."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta

import pytest

from ingest.correction import FillAsked
from runtime.audit.blocks import Block, Place, place_of_block
from runtime.replay import choose
from runtime.replay.choose import neighbours, passes

AT = datetime(2026, 10, 1, tzinfo=UTC)
FILL = FillAsked("f", "m", "meter", AT, AT + timedelta(days=1))


def block(partition: int, number: int, events: int = 40) -> Block:
    """The ``number``th block of a partition; those of partitions with higher numbers are made a little later."""
    at = AT + timedelta(seconds=number, milliseconds=partition)
    return Block(1, partition, number * 10, number * 10 + 9, 1, at, "", events, events, 0, 0, 0, 0, 0, 0)


def shown(
    blocks: list[Block],
    places: set[Place] | None = None,
    fills: set[Place] | None = None,
    events_max: int = 1_000,
    parts: Mapping[Place, str] | None = None,
) -> list[list[str]]:
    """Passes with their runs as ``partition:first offsets``; each in the order of its partition."""
    found = passes(list(neighbours(blocks, places)), dict.fromkeys(fills or (), FILL), events_max, parts or {})
    return [
        [f"{run[0].partition}:{','.join(str(block.first_offset) for block in run)}" for run in some] for some in found
    ]


def test_a_pass_holds_what_was_made_together_across_partitions() -> None:
    """Up to so many events, and at least one block."""
    sealed = [block(partition, number) for partition in range(2) for number in range(3)]
    assert shown(sealed, events_max=160) == [["0:0,10", "1:0,10"], ["0:20", "1:20"]]
    assert shown([block(0, 0, events=2_000), block(0, 1)]) == [["0:0"], ["0:10"]]
    assert shown([]) == []


def test_a_pass_ends_where_a_part_does() -> None:
    """A part is not read twice, unless it holds more than two passes; what else fits comes with it."""
    sealed = [block(0, number) for number in range(6)]
    parts = {place_of_block(one): "ab"[number // 3] for number, one in enumerate(sealed)}
    assert shown(sealed, events_max=200, parts=parts) == [["0:0,10,20"], ["0:30,40,50"]]
    assert shown(sealed, events_max=100, parts=parts) == [["0:0,10,20"], ["0:30,40,50"]]
    assert shown(sealed, events_max=50, parts=parts) == [["0:0,10"], ["0:20"], ["0:30,40"], ["0:50"]]
    assert shown(sealed, events_max=240, parts=parts) == [["0:0,10,20,30,40,50"]]


def test_blocks_that_were_not_chosen_part_a_run(monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies between would be read for nothing; each run is a condition, of which a question has only so many."""
    sealed = [block(0, number) for number in range(5)]
    places = {place_of_block(sealed[number]) for number in (0, 1, 3, 4)}
    assert shown(sealed, places) == [["0:0,10", "0:30,40"]]
    monkeypatch.setattr(choose, "RUNS_AT_ONCE", 1)
    assert shown(sealed, places) == [["0:0,10"], ["0:30,40"]]


def test_a_block_that_filled_a_meter_comes_alone_and_in_its_turn() -> None:
    """Whatever was made before it, in whichever partition, is right by then."""
    sealed = [block(partition, number) for partition in range(2) for number in range(3)]
    fills = {place_of_block(sealed[1]), place_of_block(sealed[4])}
    assert shown(sealed, fills=fills) == [["0:0", "1:0"], ["0:10"], ["1:10"], ["0:20", "1:20"]]
