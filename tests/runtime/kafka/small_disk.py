"""A disk that can be full: a small filesystem of the stack's own, or a limit on the broker's files."""

from __future__ import annotations

import os
import resource
import shlex
import subprocess
from pathlib import Path

import psutil

from tests.runtime.faults.stack_process import StackProcess

SIZE = "160m"
CHUNK_BYTES = 1024 * 1024
# Less than a partition holds at the first strike.
FILE_BYTES_MAX = 256 * 1024


def own_mounts() -> list[str]:
    """The command under which a process may mount; nobody else sees what it mounts."""
    if os.geteuid() == 0:
        return ["unshare", "--mount"]
    return ["unshare", "--user", "--map-root-user", "--mount"]


def may_mount(folder: Path) -> bool:
    """Whether this machine lets us."""
    try:
        done = subprocess.run(small_filesystem(folder, "true"), capture_output=True, timeout=10, check=False)
    except OSError:
        return False
    return done.returncode == 0


def small_filesystem(folder: Path, *command: str, size: str = SIZE) -> list[str]:
    """The command that runs another one with a small filesystem at ``folder``, as the user that we are."""
    back = [] if os.geteuid() == 0 else ["unshare", "--user", f"--map-user={os.getuid()}", f"--map-group={os.getgid()}"]
    place = shlex.quote(str(folder))
    mount = f"mkdir -p {place} && mount -t tmpfs -o size={size},mode=0777 tmpfs {place}"
    return [*own_mounts(), "sh", "-c", f'{mount} && exec "$@"', "sh", *back, *command]


def fill(stack: StackProcess, folder: Path) -> Path:
    """Leave not a byte on the small filesystem; returns the file to delete for room."""
    assert stack.process is not None
    # The filesystem as the stack sees it.
    ballast = Path(f"/proc/{stack.process.pid}/root") / folder.relative_to("/") / "ballast"
    step = CHUNK_BYTES
    with ballast.open("wb", buffering=0) as file:
        while step:
            try:
                file.write(b"\0" * step)
            except OSError:
                step //= 2
    return ballast


def limit_files(stack: StackProcess) -> None:
    """Let the log of the running broker grow no more; the limit goes with its process.

    What it says about it is far below the limit, and can still be written.
    """
    broker = psutil.Process(stack.pid_of("kafka"))
    broker.rlimit(resource.RLIMIT_FSIZE, (FILE_BYTES_MAX, resource.RLIM_INFINITY))
