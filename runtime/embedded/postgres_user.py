"""Whom Postgres runs as, and what that user can reach. Postgres refuses to run as root."""

from __future__ import annotations

import os
import pwd
import stat
from pathlib import Path

from runtime.embedded.part import RunAs

# A server's own user keeps its data from other services' eyes; "nobody" is there on every system.
CANDIDATES = ("postgres", "nobody")


def ordinary_user() -> RunAs | None:
    """Another user to run as when we are root; ``None`` when we are not."""
    if os.geteuid() != 0:
        return None
    for name in CANDIDATES:
        try:
            entry = pwd.getpwnam(name)
        except KeyError:
            continue
        return RunAs(entry.pw_uid, entry.pw_gid)
    raise OSError(f"PostgreSQL does not run as root, and none of the users {CANDIDATES} exists")


def allows(info: os.stat_result, user: RunAs, wanted: int) -> bool:
    """Whether permission bits (4 read, 1 run or pass through) hold for the user."""
    if info.st_uid == user.uid:
        granted = info.st_mode >> 6
    elif info.st_gid == user.gid:
        granted = info.st_mode >> 3
    else:
        granted = info.st_mode
    return granted & wanted == wanted


def can_run(binary: Path, user: RunAs) -> bool:
    """Whether the user can pass through every folder above the binary and run it."""
    resolved = binary.resolve()
    folders_open = all(allows(folder.stat(), user, stat.S_IXOTH) for folder in resolved.parents)
    return folders_open and allows(resolved.stat(), user, stat.S_IROTH | stat.S_IXOTH)
