"""The command line: one command a file under ``runtime/commands``, listed here and nowhere else."""

from __future__ import annotations

import sys

import typer

from core.errors import MillraceError, Refused
from runtime.commands.api import api
from runtime.commands.apply import apply
from runtime.commands.audit import audit_command, auditor
from runtime.commands.backfill import backfill_app
from runtime.commands.close import close
from runtime.commands.corrections import amend, retract
from runtime.commands.dead_letters import dead_letters_app
from runtime.commands.demo import demo
from runtime.commands.event import event
from runtime.commands.events import events
from runtime.commands.gateway import gateway
from runtime.commands.import_usage import import_usage
from runtime.commands.invoice import invoice
from runtime.commands.invoices import invoices
from runtime.commands.kafka import kafka
from runtime.commands.keys import keys_app
from runtime.commands.meters import meters_app
from runtime.commands.migrate import migrate
from runtime.commands.prices import prices_app
from runtime.commands.rate import rate
from runtime.commands.release import release, releaser
from runtime.commands.replay import replay_command
from runtime.commands.simulate import simulate
from runtime.commands.up import up
from runtime.commands.usage import usage
from runtime.commands.worker import worker

EXIT_REFUSED = 2
EXIT_FAILED = 1


def build_app() -> typer.Typer:
    """Assemble the command line, in the order in which a newcomer needs the commands."""
    app = typer.Typer(
        name="millrace",
        help="Usage metering and billing: every accepted event is billed exactly once, and anyone can check it.",
        no_args_is_help=True,
        pretty_exceptions_enable=False,
    )
    app.command()(demo)
    app.command()(up)
    app.command()(apply)
    app.add_typer(keys_app, name="keys", help="Make, list and revoke API keys.")
    app.command("import")(import_usage)
    app.command()(simulate)
    app.command()(rate)
    app.add_typer(prices_app, name="prices", help="Give subscriptions another version of a price.")
    app.command()(usage)
    app.command()(event)
    app.command()(events)
    app.command()(retract)
    app.command()(amend)
    app.add_typer(backfill_app, name="backfill", help="Old usage in one piece: open, send, preview, close or revert.")
    app.add_typer(meters_app, name="meters", help="Let a new or changed meter count the events that are there.")
    app.command()(close)
    app.command()(invoices)
    app.command()(invoice)
    app.command("audit")(audit_command)
    app.command("replay")(replay_command)
    app.add_typer(dead_letters_app, name="dead-letters", help="What could not be counted: look, mend, send again.")
    app.command()(release)
    app.command()(migrate)
    app.command(rich_help_panel="Processes")(gateway)
    app.command(rich_help_panel="Processes")(worker)
    app.command(rich_help_panel="Processes")(api)
    app.command(rich_help_panel="Processes")(auditor)
    app.command(rich_help_panel="Processes")(releaser)
    app.command(rich_help_panel="Processes")(kafka)
    return app


def main() -> None:
    """Run a command; an error of ours becomes a sentence and an exit code, never a stack trace."""
    try:
        build_app()()
    except Refused as refused:
        sys.stderr.write(f"{refused}\n")
        raise SystemExit(EXIT_REFUSED) from refused
    except MillraceError as error:
        sys.stderr.write(f"{type(error).__name__}: {error}\n")
        raise SystemExit(EXIT_FAILED) from error
