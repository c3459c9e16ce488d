"""Files of keys: written in pieces, read whole or not at all."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from core.errors import Stop
from streams.key_index import KeyRun
from streams.key_segment import COLUMN_BYTES, KEYS_MAX, PAGE_BYTES, BadFile, Covers, column_offsets, open_segment
from streams.key_segment_writer import SegmentWriter
from tests.streams.key_builders import COVERS, random_run, segment_of

COUNT = 2500


@pytest.fixture
def file(tmp_path: Path) -> tuple[Path, bytes, KeyRun]:
    """A segment's path, sum and keys."""
    run = random_run(COUNT, seed=1)
    segment = segment_of(tmp_path / "a.keys", run)
    return segment.path, segment.digest, run


def test_what_was_written_is_read(file: tuple[Path, bytes, KeyRun]) -> None:
    """In all columns, and by way of the shares."""
    path, digest, run = file
    found = open_segment(path, COVERS, digest).run

    assert found.high.tolist() == run.high.tolist()
    assert found.low.tolist() == run.low.tolist()
    assert found.body.tolist() == run.body.tolist()
    assert found.stored_s.tolist() == run.stored_s.tolist()
    assert found.starts is not None
    assert found.starts[-1] == COUNT


def test_a_segment_may_hold_nothing(tmp_path: Path) -> None:
    """When all keys of a merge were too old."""
    segment = segment_of(tmp_path / "none.keys", random_run(0, seed=1))

    assert len(open_segment(segment.path, COVERS, segment.digest).run) == 0


def test_no_file_is_begun_for_more_keys_than_its_places_can_count(tmp_path: Path) -> None:
    """Places are 32 bits wide: what did not fit would be looked for where it is not."""
    with pytest.raises(Stop, match="more partitions"):
        SegmentWriter(tmp_path / "large.keys", KEYS_MAX + 1)

    assert list(tmp_path.iterdir()) == []
    assert np.uint32(KEYS_MAX) == KEYS_MAX


DATA = [
    offset + place
    for offset, width in zip(column_offsets(COUNT + 5)[:-1], COLUMN_BYTES, strict=True)
    for place in (0, 1, COUNT * width // 2, COUNT * width - 1)
]


@pytest.mark.parametrize("offset", [0, 9, 30, 60, 90, 103, *DATA])
@pytest.mark.parametrize("bit", [0, 7])
def test_every_flipped_bit_is_noticed(file: tuple[Path, bytes, KeyRun], offset: int, bit: int) -> None:
    """In the header and in every column."""
    path, digest, _ = file
    contents = bytearray(path.read_bytes())
    contents[offset] ^= 1 << bit
    path.write_bytes(contents)

    with pytest.raises(BadFile):
        open_segment(path, COVERS, digest)


@pytest.mark.parametrize("length", [0, 10, PAGE_BYTES, 50_000])
def test_a_file_cut_short_is_noticed(file: tuple[Path, bytes, KeyRun], length: int) -> None:
    """Before it is mapped: reading past the end of a map would kill the process."""
    path, digest, _ = file
    path.write_bytes(path.read_bytes()[:length])

    with pytest.raises(BadFile):
        open_segment(path, COVERS, digest)


@pytest.mark.parametrize(
    "covers",
    [
        Covers("other", 0, (0, 0), (1, 10)),
        Covers("usage", 1, (0, 0), (1, 10)),
        Covers("usage", 0, (0, 1), (1, 10)),
        Covers("usage", 0, (0, 0), (2, 10)),
    ],
)
def test_another_partition_or_range_is_noticed(file: tuple[Path, bytes, KeyRun], covers: Covers) -> None:
    """A sound file in the wrong place is as bad as a damaged one."""
    path, digest, _ = file

    with pytest.raises(BadFile, match="another file"):
        open_segment(path, covers, digest)


def test_a_file_that_is_gone_says_so(file: tuple[Path, bytes, KeyRun]) -> None:
    """With the error of the disk."""
    path, digest, _ = file
    path.unlink()

    with pytest.raises(FileNotFoundError):
        open_segment(path, COVERS, digest)
