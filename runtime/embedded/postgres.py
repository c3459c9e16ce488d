"""The books: PostgreSQL 18, run in the foreground, its data below the home folder.

As root, the server runs as another user who may not be able to pass through the folders above the home. It is then
started inside its data folder and told that the folder is ``/proc/self/cwd``, so that no folder above is touched.
"""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import sys
from functools import partial
from pathlib import Path

import psycopg

from core.clock import Clock, SystemClock
from runtime.embedded.folder_users import end_users_of
from runtime.embedded.part import Part, RunAs
from runtime.embedded.postgres_install import programs_for
from runtime.embedded.postgres_user import ordinary_user
from runtime.embedded.probes import PROBE_TIMEOUT_S
from runtime.embedded.process import LAUNCHER, log_path, tail
from runtime.embedded.secret import password_in

NAME = "postgres"
ROLE = "millrace"
DATABASE = "millrace"
SETTINGS = {
    "listen_addresses": "127.0.0.1",
    # No sockets outside the home: their path has a short bound, and /tmp is everybody's.
    "unix_socket_directories": "",
    # Files below the data folder in place of /dev/shm, which containers often keep at 64 MB.
    "dynamic_shared_memory_type": "mmap",
    "shared_buffers": "128MB",
    "max_connections": "100",
    "max_wal_size": "2GB",
    # A month's charge lines come at once after weeks of little. Files of the log that lie there from before are written
    # over; new ones are filled with noughts first, which took up to a fifth of the time that the lines did.
    "min_wal_size": "1GB",
    "fsync": "on",
    "synchronous_commit": "on",
    "full_page_writes": "on",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
    "jit": "off",
}
HOST_ACCESS = "host all all 127.0.0.1/32 scram-sha-256\n"


def postgres_folder(home: Path) -> Path:
    """Everything of Postgres below ``home``."""
    return home / "postgres"


def postgres_url(home: Path, port: int) -> str:
    """The URL with the password, which is made up at first use and kept in a file that only its owner reads."""
    return f"postgresql://{ROLE}:{password(home)}@127.0.0.1:{port}/{DATABASE}"


def password(home: Path) -> str:
    """Read the password, or make one up."""
    return password_in(postgres_folder(home) / "password")


def postgres_part(home: Path, port: int, clock: Clock | None = None) -> Part:
    """The server on a local port; the first preparation initialises its data folder."""
    user = ordinary_user()
    programs = programs_for(user)
    data = postgres_folder(home) / "data"
    url = postgres_url(home, port)
    options = [part for name, value in SETTINGS.items() for part in ("-c", f"{name}={value}")]
    return Part(
        name=NAME,
        argv=(str(programs / "postgres"), "-D", seen_as(data, user), "-c", f"port={port}", *options),
        ready=partial(postgres_answers, url),
        prepare=partial(prepare, home, programs, user, clock or SystemClock()),
        cwd=data,
        run_as=user,
        port=port,
        # Recovery after a kill replays the write-ahead log first.
        ready_within_s=120.0,
        # Fast shutdown: it ends the clients' connections in place of waiting for them.
        stop_signal=signal.SIGINT,
        grace_s=20.0,
        orphan_signal=signal.SIGQUIT,
    )


def seen_as(data: Path, user: RunAs | None) -> str:
    """The data folder's name as the server sees it."""
    return "/proc/self/cwd" if user is not None and sys.platform == "linux" else str(data)


def postgres_answers(url: str) -> bool:
    """Whether the database takes connections."""
    try:
        with psycopg.connect(url, connect_timeout=int(PROBE_TIMEOUT_S) + 1) as connection:
            return connection.execute("SELECT 1").fetchone() == (1,)
    except psycopg.OperationalError:
        return False


def prepare(home: Path, programs: Path, user: RunAs | None, clock: Clock) -> None:
    """Make sure of an initialised data folder that no earlier server's process still uses."""
    data = postgres_folder(home) / "data"
    if (data / "PG_VERSION").exists():
        end_users_of(data, "postgres", clock)
        # Names a dead process, whose number may belong to another by now: in a container it often does.
        (data / "postmaster.pid").unlink(missing_ok=True)
        return
    for half in data.parent.glob("data-*"):
        shutil.rmtree(half)
    draft = data.with_name(f"data-{secrets.token_hex(4)}")
    draft.mkdir(mode=0o700, parents=True)
    if user is not None:
        os.chown(draft, user.uid, user.gid)
    initialise(home, draft, programs, user)
    if user is not None:
        os.chown(draft, user.uid, user.gid)
    # Renamed when complete: a start that was killed half way leaves no half database behind.
    draft.rename(data)


def initialise(home: Path, data: Path, programs: Path, user: RunAs | None) -> None:
    """Create the cluster, its one role with the password, and the database."""
    seen = seen_as(data, user)
    layout = ("--encoding=UTF8", "--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8")
    initdb = (str(programs / "initdb"), "-D", seen, f"--username={ROLE}", "--auth=trust", *layout)
    run_as(home, data, user, (*initdb, "--no-instructions"), "")
    # Only after initdb, which would want the password in a file that the other user can reach.
    (data / "pg_hba.conf").write_text(HOST_ACCESS, encoding="ascii")
    single = (str(programs / "postgres"), "--single", "-j", "-D", seen, "postgres")
    statements = (f"ALTER ROLE {ROLE} PASSWORD '{password(home)}'", f"CREATE DATABASE {DATABASE}")
    run_as(home, data, user, single, ";\n\n".join((*statements, "")))


def run_as(home: Path, data: Path, user: RunAs | None, command: tuple[str, ...], text: str) -> None:
    """Run one of Postgres's programs inside the data folder; raises ``OSError`` with the end of its output."""
    identity = (str(user.uid), str(user.gid)) if user else ("-1", "-1")
    launcher = (sys.executable, "-I", "-S", LAUNCHER, str(os.getpid()), str(int(signal.SIGKILL)), *identity)
    log = log_path(home, NAME)
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("ab") as output:
        finished = subprocess.run(
            [*launcher, *command],
            input=text.encode(),
            stdout=output,
            stderr=subprocess.STDOUT,
            cwd=data,
            check=False,
        )
    if finished.returncode:
        raise OSError(f"{Path(command[0]).name} failed with {finished.returncode}:\n{tail(log)}")
