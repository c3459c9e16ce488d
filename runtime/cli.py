"""The command line: one command a file under ``runtime/commands``, listed here and nowhere else.

A process loads the command that it was started for and no other: all of them together take as long to load as a worker
takes to start.
"""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from importlib import import_module
from typing import Any, Final

import typer

from core.errors import MillraceError, Refused

EXIT_REFUSED = 2
EXIT_FAILED = 1
HELP: Final = "Usage metering and billing: every accepted event is billed exactly once, and anyone can check it."


@dataclass(frozen=True, slots=True)
class Listed:
    """A command, or with ``help`` a group of them: its module under ``runtime.commands``, and what it is there."""

    module: str
    attribute: str
    help: str | None = None
    panel: str | None = None

    def load(self) -> Any:
        """The function, or the group."""
        return getattr(import_module(f"runtime.commands.{self.module}"), self.attribute)


PROCESSES: Final = "Processes"
# In the order in which a newcomer needs them.
COMMANDS: Final = {
    "demo": Listed("demo", "demo"),
    "up": Listed("up", "up"),
    "apply": Listed("apply", "apply"),
    "keys": Listed("keys", "keys_app", "Make, list and revoke API keys."),
    "import": Listed("import_usage", "import_usage"),
    "simulate": Listed("simulate", "simulate"),
    "rate": Listed("rate", "rate"),
    "prices": Listed("prices", "prices_app", "Give subscriptions another version of a price."),
    "usage": Listed("usage", "usage"),
    "event": Listed("event", "event"),
    "events": Listed("events", "events"),
    "retract": Listed("corrections", "retract"),
    "amend": Listed("corrections", "amend"),
    "backfill": Listed("backfill", "backfill_app", "Old usage in one piece: open, send, preview, close or revert."),
    "meters": Listed("meters", "meters_app", "Let a new or changed meter count the events that are there."),
    "close": Listed("close", "close"),
    "invoices": Listed("invoices", "invoices"),
    "invoice": Listed("invoice", "invoice"),
    "audit": Listed("audit", "audit_command"),
    "replay": Listed("replay", "replay_command"),
    "dead-letters": Listed("dead_letters", "dead_letters_app", "What could not be counted: look, mend, send again."),
    "release": Listed("release", "release"),
    "migrate": Listed("migrate", "migrate"),
    "gateway": Listed("gateway", "gateway", panel=PROCESSES),
    "worker": Listed("worker", "worker", panel=PROCESSES),
    "api": Listed("api", "api", panel=PROCESSES),
    "auditor": Listed("audit", "auditor", panel=PROCESSES),
    "releaser": Listed("release", "releaser", panel=PROCESSES),
    "kafka": Listed("kafka", "kafka", panel=PROCESSES),
}


def build_app(names: Iterable[str] = tuple(COMMANDS)) -> typer.Typer:
    """Assemble the command line of these commands."""
    app = typer.Typer(name="millrace", help=HELP, no_args_is_help=True, pretty_exceptions_enable=False)
    # With a callback a command keeps its name even where it is the only one.
    app.callback()(of_all_commands)
    for name in names:
        listed = COMMANDS[name]
        if listed.help is not None:
            app.add_typer(listed.load(), name=name, help=listed.help)
        else:
            command: Callable[..., object] = listed.load()
            app.command(name, rich_help_panel=listed.panel)(command)
    return app


def of_all_commands() -> None:
    """What is done before any command: nothing."""


def named(arguments: list[str]) -> Iterable[str]:
    """The command that is asked for; all of them where help is, or nothing that there is."""
    return arguments[:1] if arguments and arguments[0] in COMMANDS else COMMANDS


def main() -> None:
    """Run a command; an error of ours becomes a sentence and an exit code, never a stack trace."""
    try:
        build_app(named(sys.argv[1:]))()
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        raise SystemExit(EXIT_REFUSED) from refused
    except MillraceError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(EXIT_FAILED) from error
