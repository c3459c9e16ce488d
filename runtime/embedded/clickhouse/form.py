"""Requests sent as a form: long queries and parameters, and tables that exist for one query ("external data")."""

from __future__ import annotations

import re
import tempfile
from dataclasses import dataclass

from runtime.embedded.clickhouse.body import Body
from runtime.embedded.clickhouse.connection import Connection, quoted_name
from runtime.embedded.clickhouse.errors import BAD_ARGUMENTS, refusal
from runtime.embedded.clickhouse.request import Ask, with_form
from runtime.embedded.clickhouse.statement import Kind, Statement

BOUNDARY = re.compile(r'boundary="?([^";]+)"?')
NAME = re.compile(rb'[; ]name="((?:[^"\\]|\\.)*)"')
FILE_NAME = re.compile(rb'[; ]filename="')


@dataclass(frozen=True, slots=True)
class ExternalTable:
    """A table sent along with a query."""

    name: str
    structure: str
    input_format: str
    data: bytes

    def create(self, connection: Connection) -> None:
        """Make the table on the connection, which forgets it at its end; raises ``EngineError``."""
        name = quoted_name(self.name)
        connection.query(f"DROP TEMPORARY TABLE IF EXISTS {name}")
        connection.query(f"CREATE TEMPORARY TABLE {name} ({self.structure})")
        insert = Statement(Kind.DATA_INSERT, f"INSERT INTO {name}", self.input_format)
        with tempfile.TemporaryFile(buffering=0) as file:
            file.write(self.data)
            file.seek(0)
            connection.query(insert.out_of(f"/dev/fd/{file.fileno()}"))


async def take_form(ask: Ask, body: Body) -> tuple[Ask, list[ExternalTable]]:
    """The request with its form's fields, and the tables sent along; raises ``EngineError`` for a broken form."""
    match = BOUNDARY.search(ask.content_type)
    if match is None:
        raise refusal(BAD_ARGUMENTS, "The form has no boundary")
    fields: dict[str, str] = {}
    files: dict[str, bytes] = {}
    for head, content in parts_of(await body.rest(), match[1].encode()):
        name = NAME.search(head)
        if name is None:
            continue
        if FILE_NAME.search(head):
            files[name[1].decode()] = content
        else:
            fields[name[1].decode()] = content.decode()
    return with_form(ask, fields), [table_of(ask, fields, name, data) for name, data in files.items()]


def parts_of(body: bytes, boundary: bytes) -> list[tuple[bytes, bytes]]:
    """Head and content of each part."""
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    parts = []
    for piece in pieces[1:]:
        if piece.startswith(b"--"):
            break
        head, _, content = piece.partition(b"\r\n\r\n")
        parts.append((head, content))
    return parts


def table_of(ask: Ask, fields: dict[str, str], name: str, data: bytes) -> ExternalTable:
    """The table that a file of the form stands for, described in the address or in the form."""
    told = {**ask.fields, **fields}
    structure = told.get(f"{name}_structure")
    if structure is None:
        types = told.get(f"{name}_types")
        if types is None:
            raise refusal(BAD_ARGUMENTS, f"Neither {name}_structure nor {name}_types is given")
        structure = ", ".join(f"_{i} {kind}" for i, kind in enumerate(types.split(","), start=1))
    return ExternalTable(name, structure, told.get(f"{name}_format", "TabSeparated"), data)
