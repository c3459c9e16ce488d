"""Merging in steps equals merging at once."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from core.errors import Stop
from streams.key_index import KeyRun, sorted_run
from streams.key_merge import KeyMerge
from streams.key_segment import column_offsets
from streams.key_segment_writer import SegmentWriter
from tests.streams.key_builders import COVERS, random_run, segment_of

# Few high words: most are shared.
row = st.tuples(st.integers(0, 5), st.integers(0, 99), st.integers(0, 3))


def run_of(rows: list[tuple[int, int, int]]) -> KeyRun:
    """A run from (high, low, stored) rows."""
    columns = np.array(rows, dtype=np.uint64).reshape(-1, 3)
    return sorted_run(columns[:, 0], columns[:, 1], columns[:, 1], columns[:, 2].astype(np.uint32))


def rows_of(run: KeyRun) -> list[tuple[int, int, int, int]]:
    """All that a run holds."""
    columns = (run.high.tolist(), run.low.tolist(), run.body.tolist(), run.stored_s.tolist())
    return list(zip(*columns, strict=True))


@given(st.lists(st.lists(row, max_size=20), min_size=1, max_size=4), st.integers(1, 30), st.integers(0, 3))
@settings(max_examples=100, deadline=None)
def test_a_merge_in_steps_holds_all_keys_but_the_old(
    blocks: list[list[tuple[int, int, int]]], keys: int, since_s: int
) -> None:
    """Whatever the size of a step, sorted, and found by way of the shares."""
    runs = [run_of(rows) for rows in blocks]
    with TemporaryDirectory() as folder:
        merge = KeyMerge.of_runs(SegmentWriter(Path(folder) / "m.keys", sum(map(len, runs))), runs, since_s)
        while not merge.step(keys):
            pass
        found = merge.finish(COVERS).run

    assert found.high.tolist() == sorted(found.high.tolist())
    assert sorted(rows_of(found)) == sorted(kept for run in runs for kept in rows_of(run) if kept[3] >= since_s)


def test_a_step_is_as_large_as_it_was_asked_to_be(tmp_path: Path) -> None:
    """So that no block waits long for it."""
    runs = [random_run(count, seed) for seed, count in enumerate((100_000, 20_000, 3_000))]
    merge = KeyMerge.of_runs(SegmentWriter(tmp_path / "m.keys", 123_000), runs, 0)
    steps = 1
    while not merge.step(10_000):
        steps += 1

    assert 13 <= steps <= 17


def test_a_source_that_was_damaged_meanwhile_stops_us(tmp_path: Path) -> None:
    """Its keys must not go on into a file whose sum is right."""
    sources = [segment_of(tmp_path / f"{seed}.keys", random_run(2000, seed)) for seed in range(2)]
    with sources[0].path.open("r+b") as file:
        file.seek(column_offsets(2005)[1] + 800)
        file.write(b"\\0" * 8)
    merge = KeyMerge.of_segments(SegmentWriter(tmp_path / "m.keys", 4000), sources, 0)
    while not merge.step(300):
        pass

    with pytest.raises(Stop, match="damaged"):
        merge.finish(COVERS)

    assert not (tmp_path / "m.keys").exists()
