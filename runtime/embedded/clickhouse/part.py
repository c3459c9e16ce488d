"""The front as a part of the embedded stack."""

from __future__ import annotations

from pathlib import Path

from runtime.embedded.part import Part, module_argv, module_env
from runtime.embedded.probes import http_answers

NAME = "clickhouse"


def clickhouse_part(home: Path, port: int, database: str) -> Part:
    """The usage store on a local port, its data below ``home``."""
    argv = module_argv(
        "runtime.embedded.clickhouse",
        "--port",
        str(port),
        "--path",
        str(home / "clickhouse"),
        "--database",
        database,
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
