"""The key index against a dictionary."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given, settings
from hypothesis import strategies as st

from streams.dedupe import judge_copies
from streams.key_index import RUNS_FEW, KeyIndex, KeyRun, first_places, merged, run_in_time, sorted_run
from streams.key_segment import ShareCounts
from streams.rows import CONFLICT, DUPLICATE, REJECTED, STORED
from tests.streams.key_builders import random_run

# Few high words, so that keys often share them: the rare case in life is the common one here.
keys = st.tuples(st.integers(0, 6), st.integers(0, 6))
copies = st.tuples(keys, st.integers(0, 1), st.booleans())


def u64(numbers: list[int]) -> npt.NDArray[np.uint64]:
    """An array of keys' words."""
    return np.array(numbers, dtype=np.uint64)


def run_of(found: dict[tuple[int, int], int], stored_s: int = 100) -> KeyRun:
    """A block's claims."""
    stored = np.full(len(found), stored_s, dtype=np.uint32)
    return sorted_run(
        u64([high for high, _ in found]), u64([low for _, low in found]), u64(list(found.values())), stored
    )


@given(st.lists(st.dictionaries(keys, st.integers(0, 9), max_size=12), max_size=12), st.sets(keys))
@settings(max_examples=200)
def test_an_index_knows_its_keys_and_bodies(
    blocks: list[dict[tuple[int, int], int]], asked: set[tuple[int, int]]
) -> None:
    """After any number of merges, also where high words are equal; each key is claimed once."""
    index, expected = KeyIndex(), dict[tuple[int, int], int]()
    for block in blocks:
        fresh = {key: body for key, body in block.items() if key not in expected}
        index, expected = index.with_added(run_of(fresh), 0), expected | fresh
    wanted = sorted(asked)

    found, body = index.probe(u64([high for high, _ in wanted]), u64([low for _, low in wanted]), 0)

    assert len(index) == len(expected)
    assert dict(zip(wanted, body[: len(wanted)].tolist(), strict=True)) == {key: expected.get(key, 0) for key in wanted}
    assert found.tolist() == [key in expected for key in wanted]


def test_old_keys_are_not_found_and_go_with_the_next_merge() -> None:
    """A key stored before the horizon is as if it had never been."""
    index = KeyIndex().with_added(run_of({(1, 1): 5}, stored_s=100), 0)

    found, _ = index.probe(u64([1]), u64([1]), 101)

    assert found.tolist() == [False]
    for number in range(RUNS_FEW):
        index = index.with_added(run_of({(2, number): 5}, stored_s=200), 101)
    assert len(index) == RUNS_FEW


@given(
    st.lists(st.integers(0, 2**64 - 1) | st.integers(0, 9), max_size=60),
    st.lists(st.integers(0, 2**64 - 1), max_size=9),
)
@settings(max_examples=200)
def test_shares_lead_to_the_places_that_a_plain_search_finds(held: list[int], others: list[int]) -> None:
    """Also where the keys are anything but evenly spread."""
    high = u64(sorted(held))
    shares = ShareCounts(len(held))
    shares.add(high)
    run = KeyRun(high, high, high, high.astype(np.uint32), shares.starts())
    asked = u64(sorted([*held, *others, 0, 2**64 - 1]))

    assert first_places(run, asked).tolist() == np.searchsorted(high, asked).tolist()


def test_exchanged_runs_answer_as_before() -> None:
    """Runs that moved into one file stand in its place, between those before and after."""
    blocks = [random_run(1000, seed) for seed in range(5)]
    index = KeyIndex()
    for block in blocks:
        index = index.with_added(block, 0).put_by()

    changed = index.exchanged(index.older[1:4], merged(index.older[1:4]))

    assert [len(run) for run in changed.older] == [1000, 3000, 1000]
    for block in blocks:
        found, body = changed.probe(block.high, block.low, 0)
        assert found.all()
        assert body.tolist() == block.body.tolist()


def test_runs_stay_few() -> None:
    """A thousand blocks make a handful of runs."""
    index = KeyIndex()
    for number in range(1000):
        index = index.with_added(run_of({(number, 0): 0}), 0)

    assert len(index) == 1000
    assert len(index.runs) <= 6


@given(st.lists(copies, max_size=25), st.dictionaries(keys, st.integers(0, 1), max_size=8))
@settings(max_examples=200)
def test_first_good_copies_win(
    events: list[tuple[tuple[int, int], int, bool]], before: dict[tuple[int, int], int]
) -> None:
    """Fates and claims equal a walk through the events one by one."""
    index = KeyIndex().with_added(run_of(before), 0)

    verdicts = judge_copies(
        u64([high for (high, _), _, _ in events]),
        u64([low for (_, low), _, _ in events]),
        u64([body for _, body, _ in events]),
        np.array([bad for _, _, bad in events], dtype=np.bool_),
        index,
        since_s=0,
        stored_s=200,
    )

    known, fates = dict(before), []
    for key, body, bad in events:
        if key in known:
            fates.append(DUPLICATE if known[key] == body else CONFLICT)
        elif bad:
            fates.append(REJECTED)
        else:
            known[key] = body
            fates.append(STORED)
    assert verdicts.fates.tolist() == fates
    claimed = verdicts.claimed
    found = zip(claimed.high.tolist(), claimed.low.tolist(), strict=True)
    assert dict(zip(found, claimed.body.tolist(), strict=True)) == {k: b for k, b in known.items() if k not in before}
    assert claimed.high.tolist() == sorted(claimed.high.tolist())


@given(st.lists(st.dictionaries(keys, st.integers(0, 9), max_size=12), max_size=12), st.integers(95, 112))
@settings(max_examples=200)
def test_a_key_that_is_claimed_again_keeps_what_it_said_first(
    blocks: list[dict[tuple[int, int], int]], since_s: int
) -> None:
    """Within the horizon, in memory as in the run that is read back: a redo must find the same."""
    index = KeyIndex()
    claims = [(key, body, at) for at, block in enumerate(blocks, start=100) for key, body in block.items()]
    for at, block in enumerate(blocks, start=100):
        index = index.with_added(run_of(block, at), 0)
    shuffled = sorted(claims, key=lambda claim: claim[1])
    again = KeyIndex().with_added(
        run_in_time(
            u64([key[0] for key, _, _ in shuffled]),
            u64([key[1] for key, _, _ in shuffled]),
            u64([body for _, body, _ in shuffled]),
            np.array([at * 1_000_000 for _, _, at in shuffled], dtype=np.int64),
        ),
        0,
    )
    wanted = [(high, low) for high in range(7) for low in range(7)]
    for some in (index, again):
        found, body = some.probe(u64([high for high, _ in wanted]), u64([low for _, low in wanted]), since_s)
        for key, is_found, said in zip(wanted, found.tolist(), body.tolist(), strict=True):
            bodies = [body for claimed, body, at in claims if claimed == key and at >= since_s]
            assert (is_found, said) == (bool(bodies), bodies[0] if bodies else 0)
