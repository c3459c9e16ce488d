"""Whether another user can reach a program is told from the modes of all folders above it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from runtime.embedded.part import RunAs
from runtime.embedded.postgres_user import can_run

STRANGER = RunAs(uid=61234, gid=61234)


@pytest.fixture
def program(tmp_path: Path) -> Path:
    """A program in a folder that is open to all, below folders that may not be."""
    folder = tmp_path / "closed" / "open"
    folder.mkdir(parents=True)
    found = folder / "program"
    found.write_text("#!/bin/sh\n")
    return found


@pytest.mark.parametrize(
    ("folder_mode", "mode", "expected"), [(0o755, 0o755, True), (0o700, 0o755, False), (0o755, 0o700, False)]
)
def test_every_folder_above_must_let_the_user_pass(program: Path, folder_mode: int, mode: int, expected: bool) -> None:
    """One closed folder on the way is enough to fail."""
    for parent in program.parents[1:]:
        if parent.stat().st_uid != os.geteuid() or parent == Path("/"):
            break
        if not parent.stat().st_mode & 0o001:
            parent.chmod(0o711)
    program.parent.parent.chmod(folder_mode)
    program.chmod(mode)

    assert can_run(program, STRANGER) is expected


def test_an_owner_is_judged_by_the_owners_bits(program: Path) -> None:
    """A closed folder is open to whom it belongs."""
    program.parent.parent.chmod(0o700)
    program.chmod(0o500)
    me = RunAs(os.geteuid(), os.getegid())

    assert can_run(program, me) is all(
        folder.stat().st_uid == me.uid or folder.stat().st_mode & 0o011 for folder in program.parents
    )
