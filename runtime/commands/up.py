"""``millrace up``: the whole stack on this machine, until Ctrl-C."""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated

import typer
from rich.console import Console

from runtime.embedded.clickhouse.part import password_file
from runtime.settings import LogKind, load_stack_settings
from runtime.stack import running_stack
from runtime.stop_signals import stopping_event

COLOURS = {"ready": "green", "died": "red", "given_up": "bold red", "restarting": "yellow", "leftover": "yellow"}


def up(
    log: Annotated[
        LogKind | None, typer.Option(help="The log to start, if MILLRACE_KAFKA is not given; MILLRACE_LOG by default.")
    ] = None,
) -> None:
    """Start broker, ClickHouse, Postgres, gateway and worker, and keep them serving until Ctrl-C or SIGTERM.

    Everything lies under MILLRACE_HOME (default .millrace). A part that dies is started again. Any engine is
    replaced by giving its URL: MILLRACE_KAFKA, MILLRACE_CLICKHOUSE_URL, MILLRACE_POSTGRES_URL. `--log apache` runs a
    real Apache Kafka in place of the embedded broker; it needs Java and, the first time, Maven.
    """
    console = Console(highlight=False)
    stopping = stopping_event()
    settings = load_stack_settings()
    if log is not None:
        settings = replace(settings, log=log)

    def on_event(kind: str, part: str, detail: str) -> None:
        colour = COLOURS.get(kind, "dim")
        console.print(f"[{colour}]{kind:>10}[/] {part} [dim]{detail}[/]")

    with running_stack(settings, on_event, stopping.is_set) as stack:
        if not stopping.is_set():
            console.print(f"\nserving on [bold]{stack.endpoints.gateway_url}[/], data and logs in {settings.home}")
            if stack.endpoints.api_url:
                console.print(f"answers about events and usage on [bold]{stack.endpoints.api_url}[/]")
            console.print(f"ClickHouse on port {settings.clickhouse_port} for any of its clients: user millrace,")
            console.print(f"password in {password_file(settings.home)}; Ctrl-C stops everything\n")
        stack.supervisor.wait(stopping.is_set)
