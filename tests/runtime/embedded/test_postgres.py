"""PostgreSQL starts as any user, asks for its password, and survives being killed."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from pathlib import Path

import psutil
import psycopg
import pytest

from core.clock import SystemClock
from runtime.embedded.folder_users import end_users_of, users_of
from runtime.embedded.ports import free_port
from runtime.embedded.postgres import password, postgres_folder, postgres_part, postgres_url
from runtime.embedded.supervisor import Supervisor
from runtime.embedded.watched import State
from tests.runtime.embedded.test_supervisor import within


def servers(home: Path) -> list[psutil.Process]:
    """All of the server's processes."""
    return users_of(postgres_folder(home) / "data", "postgres")


def is_back(supervisor: Supervisor, restarts: int) -> bool:
    """Whether the server runs after so many restarts."""
    status = supervisor.status()[0]
    return status.restarts == restarts and status.state is State.READY


def test_committed_rows_are_there_after_every_process_was_killed(tmp_path: Path) -> None:
    """The supervisor starts it again on the same folder, which recovers by itself."""
    port = free_port()
    url = postgres_url(tmp_path, port)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([postgres_part(tmp_path, port)])
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute("CREATE TABLE kept AS SELECT generate_series(1, 10000) AS n")
        for restarts in (1, 2):
            # The whole of it first, then its first process alone, whose children end by themselves.
            everything = servers(tmp_path)
            first = [process for process in everything if process.pid == supervisor.status()[0].pid]
            for process in everything if restarts == 1 else first:
                with suppress(psutil.NoSuchProcess):
                    process.send_signal(signal.SIGKILL)
            assert within(20, lambda count=restarts: is_back(supervisor, count))  # type: ignore[misc]
            with psycopg.connect(url) as connection:
                assert connection.execute("SELECT count(*) FROM kept").fetchone() == (10000,)

    assert servers(tmp_path) == []


def test_a_folder_opens_again_under_another_supervisor(tmp_path: Path) -> None:
    """With the same password on another port, also with the file of a dead server left behind."""
    first, second = free_port(), free_port()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([postgres_part(tmp_path, first)])
        with psycopg.connect(postgres_url(tmp_path, first), autocommit=True) as connection:
            connection.execute("CREATE TABLE kept (n int)")
    # The number of a process that lives: ours.
    left_behind = f"{os.getpid()}\n/proc/self/cwd\n1\n{first}\n\n127.0.0.1\n  1  1\nready\n"
    (postgres_folder(tmp_path) / "data" / "postmaster.pid").write_text(left_behind)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([postgres_part(tmp_path, second)])
        with psycopg.connect(postgres_url(tmp_path, second)) as connection:
            assert connection.execute("SELECT count(*) FROM kept").fetchone() == (0,)
            shown = connection.execute("SHOW fsync").fetchone(), connection.execute("SHOW timezone").fetchone()

    assert shown == (("on",), ("UTC",))


def test_nobody_comes_in_without_the_password(tmp_path: Path) -> None:
    """Other users of the machine can reach the port."""
    port = free_port()
    url = postgres_url(tmp_path, port)
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([postgres_part(tmp_path, port)])
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(url.replace(password(tmp_path), "guess"))
        with pytest.raises(psycopg.OperationalError, match="password"):
            psycopg.connect(f"postgresql://millrace@127.0.0.1:{port}/millrace")

    assert (postgres_folder(tmp_path) / "password").stat().st_mode & 0o077 == 0
    assert len(password(tmp_path)) >= 24


def test_a_start_that_was_killed_half_way_is_begun_anew(tmp_path: Path) -> None:
    """Only a complete folder gets the name under which it is opened."""
    half = postgres_folder(tmp_path) / "data-1234"
    half.mkdir(parents=True)
    (half / "PG_VERSION").write_text("18\n")
    port = free_port()
    with Supervisor(tmp_path) as supervisor:
        supervisor.start([postgres_part(tmp_path, port)])
        with psycopg.connect(postgres_url(tmp_path, port)) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)


def test_only_the_program_itself_counts_as_a_user_of_its_folder(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A shell that stands in the data folder is not ended."""
    monkeypatch.chdir(tmp_path)

    end_users_of(tmp_path, "postgres", SystemClock())

    assert users_of(tmp_path, psutil.Process().name()) == [psutil.Process()]
