"""The database and the settings that a request asks for, put in force on its connection.

In a session they are not taken back at once but when a request comes without them: most clients send the same
settings with every query, and each change costs the engine half a millisecond.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from runtime.embedded.clickhouse.connection import Connection
from runtime.embedded.clickhouse.request import PARAMETER, Ask
from runtime.embedded.clickhouse.statement import Statement, first_word


@dataclass
class InForce:
    """What requests of a session have put in force, and what was there before (``None``: the default)."""

    database: str | None = None
    values: dict[str, str] = field(default_factory=dict)
    before: dict[str, str | None] = field(default_factory=dict)


def settle_fresh(connection: Connection, ask: Ask) -> None:
    """Put everything in force on a connection that nobody uses afterwards; raises ``EngineError``."""
    if ask.database:
        connection.use(ask.database)
    settings = {name: value for name, value in ask.settings.items() if not name.startswith(PARAMETER)}
    read_only = settings.pop("readonly", None)
    connection.apply(settings)
    if read_only is not None:
        # Last: nothing can be set after it.
        connection.apply({"readonly": read_only})


def settle_session(connection: Connection, in_force: InForce, ask: Ask, statement: Statement) -> None:
    """Put everything in force on a session's connection; raises ``EngineError``.

    ``readonly`` is left out, as it could not be taken back; such requests are checked one by one.
    """
    word = first_word(statement.head)
    if ask.database and ask.database != in_force.database:
        connection.use(ask.database)
    # A statement that changes the session itself must find it, and leave it, as the session's own.
    in_force.database = None if word == "USE" else ask.database
    wanted = {n: value for n, value in ask.settings.items() if n != "readonly" and not n.startswith(PARAMETER)}
    change(connection, in_force, {} if word == "SET" else wanted)


def change(connection: Connection, in_force: InForce, wanted: Mapping[str, str]) -> None:
    """Take back what is no longer wanted and set what is not yet in force; raises ``EngineError``."""
    gone = {name: in_force.before.pop(name) for name in list(in_force.values) if name not in wanted}
    for name in gone:
        del in_force.values[name]
    connection.restore(gone)
    fresh = {name: value for name, value in wanted.items() if in_force.values.get(name) != value}
    unseen = [name for name in fresh if name not in in_force.before]
    before = connection.read_settings(unseen) if unseen else {}
    connection.apply(fresh)
    in_force.values.update(fresh)
    in_force.before.update({name: before.get(name) for name in unseen})
