"""The command as people and programs call it, and the rows that it is about."""

from __future__ import annotations

from typing import Any

import orjson
import polars as pl
import typer
from typer.testing import CliRunner

from runtime.audit.run import AuditParts
from runtime.commands.replay import replay_command

WINDOWS = ("usage_windows", "usage_uniques")
COLUMNS = """
    SELECT name FROM system.columns WHERE database = currentDatabase() AND table = {table:String} ORDER BY position
"""


def run(*arguments: str) -> tuple[int, str]:
    """The exit code and what the command prints."""
    app = typer.Typer()
    app.command()(replay_command)
    done = CliRunner().invoke(app, list(arguments))
    if done.exception and not isinstance(done.exception, SystemExit):
        raise done.exception
    return done.exit_code, done.stdout


def run_json(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The same for a program."""
    code, said = run("--json", *arguments)
    return code, orjson.loads(said)


def rows_of(parts: AuditParts) -> dict[str, pl.DataFrame]:
    """Every column of every row of the windows' tables, in an order of their own."""
    frames = {}
    for table in WINDOWS:
        names = parts.store.query_frame(COLUMNS, {"table": table})["name"].to_list()
        shown = ", ".join(f"toString({name}) AS {name}" for name in names)
        frames[table] = parts.store.query_frame(f"SELECT {shown} FROM {table} ORDER BY ALL")
    return frames


def same_rows(parts: AuditParts, before: dict[str, pl.DataFrame]) -> bool:
    """Whether the windows' tables hold the same rows as before, byte for byte."""
    return all(frame.equals(before[table]) for table, frame in rows_of(parts).items())


def truncate(parts: AuditParts) -> None:
    """Lose all windows and distinct values."""
    for table in WINDOWS:
        parts.store.command(f"TRUNCATE TABLE {table}")
