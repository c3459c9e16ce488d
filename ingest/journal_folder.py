"""Folders of the journal: each gateway process has one of its own, locked while it lives."""

from __future__ import annotations

import fcntl
import os
from dataclasses import dataclass
from pathlib import Path

LOCK = "lock"
SEGMENT_SUFFIX = ".segment"
# A folder is made under such a name and renamed once it is locked: nobody can take it for a dead one's in between.
UNBORN = ".new-"


@dataclass(slots=True)
class Claim:
    """A folder that is ours until the process ends or lets go."""

    path: Path
    lock: int

    def segments(self) -> list[Path]:
        """Segment files, oldest first."""
        return sorted(self.path.glob(f"*{SEGMENT_SUFFIX}"))

    def release(self) -> None:
        """Let go of the folder, and remove it when no segment is left in it."""
        if not self.segments():
            (self.path / LOCK).unlink(missing_ok=True)
            self.path.rmdir()
        os.close(self.lock)


def claim_new(root: Path, name: str) -> Claim:
    """Make a folder of our own under ``root``."""
    unborn, path = root / f"{UNBORN}{name}", root / name
    unborn.mkdir(parents=True)
    lock = os.open(unborn / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    unborn.rename(path)
    sync_folder(path)
    sync_folder(root)
    return Claim(path, lock)


def claim_dead(root: Path) -> list[Claim]:
    """Take over the folders whose processes are gone, oldest first."""
    claims = []
    for path in sorted(root.iterdir(), key=lambda folder: folder.stat().st_mtime_ns):
        if path.is_dir() and not path.name.startswith(UNBORN):
            claim = try_claim(path)
            if claim:
                claims.append(claim)
    return claims


def try_claim(path: Path) -> Claim | None:
    """Lock a folder, unless its process lives or somebody else was faster."""
    try:
        lock = os.open(path / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(lock)
        return None
    if not (path / LOCK).exists():
        os.close(lock)
        return None
    return Claim(path, lock)


def sync_folder(path: Path) -> None:
    """Make a folder's names durable."""
    folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(folder)
    finally:
        os.close(folder)
