"""The manifest says which files belong together, or nothing."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from streams.key_manifest import Entry, Manifest, epochs_in, read_manifest, write_manifest
from streams.key_segment import BadFile, Covers
from streams.ledger import SealedBlock
from tests.streams.builders import NOON

BLOCK = SealedBlock(2, 70, NOON, "xxh3:00")
ENTRIES = (
    Entry("a.keys", Covers("usage", 3, (0, 0), (1, 50)), b"\x01" * 16),
    Entry("b.keys", Covers("usage", 3, (1, 50), (2, 70)), b"\x02" * 16),
)
MANIFEST = Manifest("usage", 3, 7, BLOCK, ENTRIES)


def test_a_manifest_is_read_as_it_was_written(tmp_path: Path) -> None:
    """Under its owner's epoch, in the place of the one before."""
    write_manifest(tmp_path, replace(MANIFEST, entries=ENTRIES[:1]))
    write_manifest(tmp_path, MANIFEST)

    assert epochs_in(tmp_path) == {7: tmp_path / "manifest-7.json"}
    assert read_manifest(tmp_path / "manifest-7.json") == MANIFEST


@pytest.mark.parametrize("entries", [(), ENTRIES[:1], ENTRIES[1:], ENTRIES[::-1]])
def test_a_manifest_that_leaves_blocks_out_is_refused(tmp_path: Path, entries: tuple[Entry, ...]) -> None:
    """The files must follow each other from the start to the block that they are complete to."""
    write_manifest(tmp_path, replace(MANIFEST, entries=entries))

    with pytest.raises(BadFile, match="leaves blocks out"):
        read_manifest(tmp_path / "manifest-7.json")


def test_no_changed_byte_goes_unnoticed(tmp_path: Path) -> None:
    """Each single one makes the manifest unreadable."""
    write_manifest(tmp_path, MANIFEST)
    path = tmp_path / "manifest-7.json"
    sound = path.read_bytes()
    for place in range(len(sound)):
        path.write_bytes(sound[:place] + bytes([sound[place] ^ 1]) + sound[place + 1 :])

        with pytest.raises(BadFile):
            read_manifest(path)


def test_a_manifest_under_another_name_is_refused(tmp_path: Path) -> None:
    """A copy of an old one in the place of a new one, say."""
    write_manifest(tmp_path, MANIFEST)
    copy = (tmp_path / "manifest-7.json").rename(tmp_path / "manifest-8.json")

    with pytest.raises(BadFile):
        read_manifest(copy)
