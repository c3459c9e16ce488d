"""Folders of living and dead gateways."""

from __future__ import annotations

from pathlib import Path

from ingest.journal_folder import claim_dead, claim_new


def test_a_living_gateways_folder_is_left_alone(tmp_path: Path) -> None:
    """Two processes on one root do not meet."""
    first = claim_new(tmp_path, "first")

    assert claim_dead(tmp_path) == []

    first.release()


def test_a_dead_gateways_folder_is_taken_over_once(tmp_path: Path) -> None:
    """By whoever comes first, and it goes away once nothing is left in it."""
    first = claim_new(tmp_path, "first")
    segment = first.path / "0000000001.segment"
    segment.write_bytes(b"x")
    first.release()

    (taken,) = claim_dead(tmp_path)

    assert claim_dead(tmp_path) == []
    assert taken.segments() == [segment]
    segment.unlink()
    taken.release()
    assert list(tmp_path.iterdir()) == []


def test_a_folder_being_made_is_not_taken_for_a_dead_one(tmp_path: Path) -> None:
    """Its name says so until it is locked."""
    (tmp_path / ".new-x").mkdir()
    (tmp_path / ".new-x" / "lock").touch()

    assert claim_dead(tmp_path) == []
