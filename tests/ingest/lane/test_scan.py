"""Bodies in slices: as much is judged at a time as others can wait for, and it comes out the same."""

from __future__ import annotations

import asyncio

import orjson
import pytest

from ingest.lane import lane as lane_module
from ingest.lane.lane import FastLane
from tests.ingest.lane.both import CATALOG, cloud, compare, plain, rules_of

pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")


@pytest.fixture
def narrow(monkeypatch: pytest.MonkeyPatch) -> FastLane:
    """A lane with room for seven events, or some two hundred properties."""
    monkeypatch.setattr(lane_module, "SLICE_EVENTS", 7)
    monkeypatch.setattr(lane_module, "SLICE_CELLS", 350)
    return FastLane()


def mixed(count: int) -> list[dict[str, object]]:
    """Events of both forms, one in nine of them refused or odd."""
    odd = [plain(id="é"), plain(id="n", properties={"n": "x"}), cloud(id="i" * 257)]
    return [odd[i // 9 % 3] if i % 9 == 5 else (cloud, plain)[i % 2](id=f"e{i}") for i in range(count)]


@pytest.mark.parametrize("count", [1, 6, 7, 8, 14, 15, 50])
def test_slices_make_one_verdict(narrow: FastLane, count: int) -> None:
    """Wherever the body ends, also where a slice does."""
    events = mixed(count)

    assert compare(orjson.dumps(events), fast_lane=narrow)
    assert compare(b"\n".join(map(orjson.dumps, events)), "lines", narrow)


def test_a_slice_ends_where_there_is_no_room_for_properties(narrow: FastLane) -> None:
    """Three events of 64 properties, and then the next three."""
    events = [plain(id=f"e{i}", properties={f"p{k}": k for k in range(64)}) for i in range(20)]

    assert compare(orjson.dumps(events), fast_lane=narrow)


def test_what_is_wrong_in_a_late_slice_is_for_the_slow_lane(narrow: FastLane) -> None:
    """Nothing of the slices before it is kept."""
    body = orjson.dumps([plain(id=f"e{i}") for i in range(30)])[:-1]

    assert narrow.judge(body, "document", rules_of(), CATALOG) is None


def test_others_have_their_turn_between_slices(narrow: FastLane) -> None:
    """Bodies that are judged at once use the same room, and neither disturbs the other."""
    bodies = [orjson.dumps(mixed(70)), orjson.dumps(mixed(40)[::-1])]

    async def judge_together() -> list[tuple[object, list[tuple[int, bytes]]]]:
        judging = [narrow.judge_in_turns(body, "document", rules_of(), CATALOG) for body in bodies]
        verdicts = await asyncio.gather(*judging)
        return [(verdict.body(), narrow.write(verdict.kept, 3)) for verdict in verdicts if verdict]

    together = asyncio.run(judge_together())
    alone = [narrow.judge(body, "document", rules_of(), CATALOG) for body in bodies]

    assert together == [(verdict.body(), narrow.write(verdict.kept, 3)) for verdict in alone if verdict]
    assert len(together) == len(bodies)


def test_the_loop_goes_round_at_least_once_a_thousand_events() -> None:
    """As long as a slice takes, and no longer."""
    assert lane_module.SLICE_EVENTS <= 1_000

    async def count_rounds() -> int:
        lane = FastLane()
        body = orjson.dumps([plain(id=f"e{i}") for i in range(2_001)])
        judging = asyncio.ensure_future(lane.judge_in_turns(body, "document", rules_of(), CATALOG))
        rounds = 0
        while not judging.done():
            await asyncio.sleep(0)
            rounds += 1
        return rounds

    assert asyncio.run(count_rounds()) >= 3


def test_a_body_of_too_many_values_is_refused_in_both_lanes() -> None:
    """However plain they are; one of as many bytes and fewer values is not."""
    assert compare(b"[" + b"1," * 1_250_000 + b"1]")
    assert compare(orjson.dumps([plain(id=f"e{i}", properties={"p": "x" * 4_000}) for i in range(200)]))
