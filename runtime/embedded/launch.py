"""Becomes the part: own session, death together with the supervisor, ordinary user, then ``exec``.

Run as a script by ``process.spawn`` in place of a ``preexec_fn``, which is unsafe in a process with threads. Kept
free of imports from Millrace so that it starts in milliseconds.

Arguments: parent pid, orphan signal, uid (-1 keeps it), gid, then the command.
"""

from __future__ import annotations

import ctypes
import os
import sys

PR_SET_PDEATHSIG = 1
FOLLOWING_SUPERVISOR_GONE = 125


def drop_to(uid: int, gid: int) -> None:
    """Give up root for good; a uid below 0 changes nothing."""
    if uid >= 0:
        os.setgroups([])
        os.setgid(gid)
        os.setuid(uid)


def die_with(parent_pid: int, orphan_signal: int) -> None:
    """Ask Linux to signal us when the thread that started us ends; elsewhere the next start sweeps up."""
    if sys.platform != "linux":
        return
    # After the change of user, which clears it.
    ctypes.CDLL(None, use_errno=True).prctl(PR_SET_PDEATHSIG, orphan_signal, 0, 0, 0)
    if os.getppid() != parent_pid:
        sys.exit(FOLLOWING_SUPERVISOR_GONE)


def main(arguments: list[str]) -> None:
    """Set everything up and turn into the command; does not return."""
    parent_pid, orphan_signal, uid, gid = (int(text) for text in arguments[:4])
    command = arguments[4:]
    os.setsid()
    drop_to(uid, gid)
    die_with(parent_pid, orphan_signal)
    os.execvp(command[0], command)  # noqa: S606 - without a shell is the point


if __name__ == "__main__":
    main(sys.argv[1:])
