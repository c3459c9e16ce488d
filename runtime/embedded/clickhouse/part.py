"""The front as a part of the embedded stack."""

from __future__ import annotations

from pathlib import Path

from runtime.embedded.part import Part, module_argv, module_env
from runtime.embedded.probes import http_answers
from runtime.embedded.secret import password_in
from runtime.settings import DISK_RESERVE_MIB

NAME = "clickhouse"
USER = "millrace"


def clickhouse_url(home: Path, port: int, database: str) -> str:
    """The URL with the password.

    The engine reads and writes files for whoever may query it, so that an open port would hand this user's files
    to every other user of the machine.
    """
    return f"http://{USER}:{password_in(password_file(home))}@127.0.0.1:{port}/{database}"


def password_file(home: Path) -> Path:
    """Where the password lies; not below the engine's own folder, which it may clean up."""
    return home / "clickhouse.password"


def clickhouse_part(
    home: Path, port: int, database: str, *, guarded: bool = True, reserve_mib: int = DISK_RESERVE_MIB
) -> Part:
    """The usage store on a local port, its data below ``home``; unguarded only where a test wants it so.

    It leaves ``reserve_mib`` of its disk free.
    """
    password_in(password_file(home))
    account = ("--user", USER, "--password-file", str(password_file(home))) if guarded else ()
    argv = module_argv(
        "runtime.embedded.clickhouse",
        "--port",
        str(port),
        "--path",
        str(home / "clickhouse"),
        "--database",
        database,
        "--reserve-mib",
        str(reserve_mib),
        *account,
    )
    return Part(
        name=NAME,
        argv=argv,
        ready=lambda: http_answers(port, "/ping"),
        # UTC: a table's dates must not depend on the machine's zone.
        env={**module_env(), "TZ": "UTC"},
        port=port,
        # Loading many parts after a long time of use takes its while.
        ready_within_s=120.0,
        grace_s=15.0,
    )
