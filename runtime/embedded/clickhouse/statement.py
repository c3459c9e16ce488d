"""As much of ClickHouse's grammar as the HTTP interface needs: what kind of statement, which format, where data begins.

Comments, strings and quoted names are skipped as the engine's own lexer does it; everything else is the engine's.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from itertools import pairwise

from runtime.embedded.clickhouse.errors import SYNTAX_ERROR, refusal

TOKEN = re.compile(
    r"""
    (?P<skip>\s+|--[^\n]*|\#[ !][^\n]*|/\*.*?(?:\*/|\Z))
  | (?P<heredoc>\$(?P<tag>\w*)\$.*?(?:\$(?P=tag)\$|\Z))
  | (?P<quoted>'(?:[^'\\]|\\.|'')*(?:'|\Z)|`(?:[^`\\]|\\.|``)*(?:`|\Z)|"(?:[^"\\]|\\.|"")*(?:"|\Z))
  | (?P<word>[A-Za-z_]\w*)
  | (?P<number>\d\w*)
  | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL | re.ASCII,
)
READS = frozenset({"SELECT", "WITH", "FROM"})
INSERT_ENDS = frozenset({"FORMAT", "VALUES", "SELECT", "WITH", "WATCH", "FROM"})


class Kind(Enum):
    """How the front runs a statement."""

    READ = "read"  # its result streams out through a pipe
    DATA_INSERT = "data_insert"  # its data stream in
    OTHER = "other"  # run as a whole


@dataclass(frozen=True, slots=True)
class Token:
    """One word, sign or quoted text, with its place and the depth of brackets around it."""

    text: str
    start: int
    end: int
    depth: int
    is_word: bool

    @property
    def upper(self) -> str:
        """The word in capitals; a quoted name is no keyword."""
        return self.text.upper() if self.is_word else ""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement taken apart.

    ``head`` is all before ``FORMAT`` (or ``VALUES``), ``output_format`` the format named in it, ``tail`` what follows
    the format of a read (``SETTINGS …``), ``data_start`` the offset at which an insert's data begin.
    """

    kind: Kind
    head: str
    output_format: str | None = None
    tail: str = ""
    data_start: int = 0

    def out_of(self, path: str) -> str:
        """The insert with its data read from a file."""
        place = settings_start(self.head)
        before, settings = self.head[:place], self.head[place:]
        return f"{before}\nFROM INFILE '{path}' COMPRESSION 'none'\n{settings}\nFORMAT {self.output_format}"

    def into(self, path: str, compression: str | None, default_format: str, mark: str) -> str:
        """The read with its result written to a file, in its own format or else the default one.

        ``mark`` is a word by which the running query can be found again.
        """
        target = f"/*{mark}*/ INTO OUTFILE '{path}' TRUNCATE"
        if compression:
            target += f" COMPRESSION {compression}"
        return f"{self.head}\n{target} FORMAT {self.output_format or default_format} {self.tail}"


def tokens(text: str) -> Iterator[Token]:
    """Every token but blanks and comments."""
    depth = 0
    for match in TOKEN.finditer(text):
        if match.lastgroup == "skip" or match["skip"]:
            continue
        piece = match[0]
        if piece in ("(", "[", "{"):
            yield Token(piece, match.start(), match.end(), depth, False)
            depth += 1
            continue
        if piece in (")", "]", "}"):
            depth = max(0, depth - 1)
        yield Token(piece, match.start(), match.end(), depth, match["word"] is not None)


def first_word(text: str) -> str:
    """The word in capitals that a statement begins with; empty when it begins with none."""
    first = next(tokens(text), None)
    return first.upper if first else ""


def read_insert(text: str, *, complete: bool, default_format: str | None) -> Statement | None:
    """Take an ``INSERT`` apart. ``None`` when the text ends before that is possible and is not complete.

    An insert from a query comes back as ``Kind.OTHER``; its text must then be taken as a whole.
    """
    found = list(insert_tokens(text))
    last = found[-1] if found else None
    if last is None or (last.upper not in INSERT_ENDS and last.text != "("):
        if not complete:
            return None
        head = text.rstrip().rstrip(";")
        return Statement(Kind.DATA_INSERT, head, default_format or "Values", data_start=len(text))
    if last.upper == "VALUES":
        return Statement(Kind.DATA_INSERT, text[: last.start], "Values", data_start=last.end)
    if last.upper != "FORMAT":
        return Statement(Kind.OTHER, text)
    name = next(tokens(text[last.end :]), None)
    if name is None or (last.end + name.end == len(text) and not complete):
        return None
    return Statement(Kind.DATA_INSERT, text[: last.start], name.text, data_start=data_after(text, last.end + name.end))


def insert_tokens(text: str) -> Iterator[Token]:
    """The tokens of an insert up to and with the one that tells where its rows come from."""
    named = False
    inner = False
    for token in tokens(text):
        if inner:
            # The first word inside brackets: a query in brackets, or else a list of columns.
            inner = False
            if token.upper in ("SELECT", "WITH"):
                yield token
                return
        if token.depth:
            continue
        if token.text == "(":
            inner = True
            continue
        ends = token.upper in INSERT_ENDS and named
        named = named or (token.upper not in ("INSERT", "INTO", "TABLE", "FUNCTION"))
        yield token
        if ends:
            return


def settings_start(head: str) -> int:
    """Where the settings of an insert begin; the end of its head when it has none."""
    found = [token for token in tokens(head) if not token.depth]
    for word, _, equals in zip(found, found[1:], found[2:], strict=False):
        if word.upper == "SETTINGS" and equals.text == "=":
            return word.start
    return len(head)


def data_after(text: str, end: int) -> int:
    """Where data begin after the name of their format: blanks and one line end are not data."""
    match = re.compile(r"[ \t\f]*;?[ \t\f]*\r?\n?").match(text, end)
    assert match is not None
    return match.end()


def read_statement(text: str) -> Statement:
    """Take a statement without data apart; raises ``EngineError`` when there are several, or none."""
    found = list(tokens(text))
    while found and found[-1].text == ";":
        found.pop()
    if not found:
        raise refusal(SYNTAX_ERROR, "Syntax error: Empty query")
    for token in found:
        if token.text == ";" and token.depth == 0:
            raise refusal(SYNTAX_ERROR, "Syntax error (Multi-statements are not allowed)")
    end = found[-1].end
    if any(word.upper == "INTO" and after.upper == "OUTFILE" for word, after in pairwise(found)):
        raise refusal(SYNTAX_ERROR, "INTO OUTFILE is not allowed")
    kind = Kind.READ if found[0].upper in READS or found[0].text == "(" else Kind.OTHER
    clause = format_clause(found)
    if clause is None:
        return Statement(kind, text[:end])
    word, name = clause
    if kind is Kind.OTHER:
        return Statement(kind, text[:end], name.text)
    return Statement(kind, text[: word.start], name.text, text[name.end : end])


def format_clause(found: list[Token]) -> tuple[Token, Token] | None:
    """The word ``FORMAT`` and the format's name, when nothing but settings follows: else it was a name."""
    for index in range(len(found) - 1, 0, -1):
        word, name = found[index - 1], found[index]
        rest = found[index + 1 : index + 2]
        if word.upper == "FORMAT" and word.depth == 0 and (not rest or rest[0].upper == "SETTINGS"):
            return word, name
    return None
