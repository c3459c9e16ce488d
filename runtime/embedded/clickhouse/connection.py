"""Connections to the embedded engine. Each has its own database, settings and temporary tables, as a session has.

After an error the engine keeps what the failed query had put out and hands it to the next query of the connection;
``discard_rest`` takes it away.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, cast

from runtime.embedded.clickhouse.chdb_types import Raw, Result
from runtime.embedded.clickhouse.errors import UNKNOWN_SETTING, EngineError, read_error, refusal

NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# An answered insert must be in its table; the server's own default would be a buffer in memory.
DEFAULTS = {"async_insert": "0", "implicit_select": "0"}


class Connection:
    """One connection; not to be used by two threads at once."""

    def __init__(self, raw: Raw) -> None:
        self._raw = raw

    def query(
        self, sql: str, output_format: str = "TabSeparated", parameters: Mapping[str, str] | None = None
    ) -> Result:
        """Run one statement as a whole, with values bound by name; raises ``EngineError``."""
        try:
            return self._raw.query(sql, output_format, params=dict(parameters or {}))
        except RuntimeError as error:
            self.discard_rest()
            raise read_error(str(error)) from None

    def use(self, database: str) -> None:
        """Make a database the current one; raises ``EngineError`` when there is none of that name."""
        self.query(f"USE {quoted_name(database)}")

    def apply(self, settings: Mapping[str, str]) -> None:
        """Change settings (and ``param_…`` values) for all that follows on this connection."""
        if settings:
            self.query("SET " + ", ".join(f"{checked_name(k)} = {quoted(v)}" for k, v in settings.items()))

    def read_settings(self, names: Sequence[str]) -> dict[str, str | None]:
        """The present values of settings; ``None`` for one that has its default."""
        wanted = ", ".join(quoted(name) for name in names)
        sql = f"SELECT name, if(changed, value, NULL) FROM system.settings WHERE name IN ({wanted})"
        lines = self.query(sql, "JSONCompactEachRow").bytes().splitlines()
        return dict(json.loads(line) for line in lines)

    def restore(self, settings: Mapping[str, str | None]) -> None:
        """Put back what ``read_settings`` gave."""
        if settings:
            changes = ", ".join(f"{k} = {'DEFAULT' if v is None else quoted(v)}" for k, v in settings.items())
            self.query("SET " + changes)

    def only_reads(self, sql: str) -> bool:
        """Whether a statement changes nothing, by the engine's own judgement."""
        return bool(self._raw.classify_query(sql)["query_class"].name == "READ_ONLY")

    def discard_rest(self) -> None:
        """Take away what a failed query left behind."""
        try:
            self._raw.query("SELECT 1", "Null", params={})
        except RuntimeError:
            return

    def close(self) -> None:
        """Let go of the connection and of its temporary tables."""
        self._raw.close()


class Engine:
    """The engine over one folder. Keeps a connection open, because the engine ends with its last one."""

    def __init__(self, path: Path, options: Mapping[str, str]) -> None:
        path.mkdir(parents=True, exist_ok=True)
        arguments = "&".join(f"{name}={value}" for name, value in options.items())
        self._address = f"{path}?{arguments}" if arguments else str(path)
        module: Any = import_module("chdb._chdb")
        module.set_signal_handlers_enabled(False)
        self._connect = module.connect
        self._anchor = self.open()
        self.version = self.ask("SELECT version()")
        self.timezone = self.ask("SELECT timezone()")
        self.packs_by_default = self.ask("SELECT toString(getSetting('enable_http_compression'))")

    def open(self, database: str | None = None) -> Connection:
        """A fresh connection; raises ``EngineError`` when the database does not exist."""
        connection = Connection(cast(Raw, self._connect(self._address)))
        try:
            connection.apply(DEFAULTS)
            if database:
                connection.use(database)
        except EngineError:
            connection.close()
            raise
        return connection

    def ask(self, sql: str) -> str:
        """One value as text, outside any session."""
        return self._anchor.query(sql, "TabSeparatedRaw").bytes().decode().rstrip("\n")

    def cancel(self, mark: str) -> None:
        """Stop every running query whose text holds the mark; those of the front itself run too shortly to matter."""
        connection = self.open()
        try:
            found = f"position(query, {quoted(mark)}) > 0 AND query NOT LIKE 'KILL%'"
            connection.query(f"KILL QUERY WHERE {found} ASYNC", "Null")
        finally:
            connection.close()

    def close(self) -> None:
        """End the engine: what is in memory goes to disk."""
        self._anchor.close()


def checked_name(name: str) -> str:
    """A setting's name that is safe inside a statement; raises ``EngineError`` otherwise."""
    if not NAME.fullmatch(name):
        raise refusal(UNKNOWN_SETTING, f"Unknown setting {name!r}")
    return name


def quoted(text: str) -> str:
    """A string literal."""
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"


def quoted_name(text: str) -> str:
    """A name in back quotes."""
    return "`" + text.replace("\\", "\\\\").replace("`", "\\`") + "`"
