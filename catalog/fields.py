"""Reading declared fields one by one, noting every fault under its path instead of stopping at the first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TypeVar
from unicodedata import category

from core.errors import BadEvent, Problem
from core.quantity import parse_quantity

T = TypeVar("T")

CODE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}", re.ASCII)
CODE_SAYS = "letters, digits and . _ : - (128 at most), beginning with a letter or digit"

# Control characters, halves of surrogate pairs, line and paragraph separators.
UNSEEN = frozenset({"Cc", "Cs", "Zl", "Zp"})


# A document of nothing but faults must not make an answer many times its own size.
FAULTS_MAX = 100
SAID_MAX = 1_000


@dataclass(slots=True)
class Faults:
    """The faults found so far; of more than ``FAULTS_MAX`` the rest are not listed."""

    problems: list[Problem] = field(default_factory=list)

    def add(self, path: str, code: str, message: str) -> None:
        """Note one."""
        if len(self.problems) < FAULTS_MAX:
            self.problems.append(Problem(code, shortened(message), field=shortened(path)))
        elif len(self.problems) == FAULTS_MAX:
            said = f"is wrong too, and perhaps more after it: mend these {FAULTS_MAX} faults first"
            self.problems.append(Problem("faults_too_many", said, field=shortened(path)))


@dataclass(slots=True)
class Fields:
    """One mapping of a document, at ``path``; what nobody asked for by ``end`` is an unknown field.

    A reader that finds a fault notes it and returns ``None`` or an empty value; whoever builds from such values
    throws the result away when there are problems.
    """

    value: Mapping[str, object]
    path: str
    faults: Faults
    asked: set[str] = field(default_factory=set)

    def at(self, name: str) -> str:
        """The path of a field of this mapping."""
        return f"{self.path}.{name}" if self.path else name

    def fault(self, name: str, code: str, message: str) -> None:
        """Note a fault of one field."""
        self.faults.add(self.at(name), code, message)

    def take(self, name: str) -> object:
        """A field's raw value; ``None`` when it is absent or null."""
        self.asked.add(name)
        return self.value.get(name)

    def optional_text(self, name: str, bytes_max: int = 256) -> str | None:
        """A text without control characters, or ``None`` when the field is absent."""
        raw = self.take(name)
        if raw is None:
            return None
        if not isinstance(raw, str):
            self.fault(name, "not_text", f"must be a text, not {kind_of(raw)}")
            return None
        return self.printable(name, raw, bytes_max)

    def printable(self, name: str, text: str, bytes_max: int) -> str | None:
        """The text, if it is not empty, not too long, and can be seen and typed."""
        if not text or len(text.encode("utf-8", "replace")) > bytes_max:
            self.fault(name, "text_length", f"must have 1 to {bytes_max} bytes")
            return None
        if not text.isprintable() and any(category(letter) in UNSEEN for letter in text):
            self.fault(name, "text_unprintable", "must not hold control characters or line ends")
            return None
        return text

    def text(self, name: str, bytes_max: int = 256) -> str:
        """A text that must be there."""
        return self.required(name, self.optional_text(name, bytes_max)) or ""

    def code(self, name: str) -> str:
        """A code: a short name that goes into addresses and files."""
        text = self.text(name)
        if text and not CODE.fullmatch(text):
            self.fault(name, "code_invalid", f"must be made of {CODE_SAYS}")
            return ""
        return text

    def one_of(self, name: str, choices: Sequence[T]) -> T | None:
        """One of the words allowed, ``None`` after a fault."""
        text = self.text(name)
        found = next((choice for choice in choices if choice == text), None)
        if text and found is None:
            words = ", ".join(str(choice) for choice in choices)
            self.fault(name, "choice_unknown", f"must be one of {words}, not {text!r}")
        return found

    def decimal(self, name: str) -> Decimal | None:
        """A decimal that is not negative, exactly as its text says; a float is refused: it has no such text."""
        raw = self.take(name)
        if raw is None or isinstance(raw, str):
            return self.not_negative(name, self.required(name, raw))
        if isinstance(raw, int) and not isinstance(raw, bool):
            return self.not_negative(name, str(raw))
        self.fault(name, "value_not_numeric", f"must be a decimal number, written as text, not {kind_of(raw)}")
        return None

    def not_negative(self, name: str, text: str | None) -> Decimal | None:
        """The number of a text."""
        if text is None:
            return None
        try:
            number = parse_quantity(text)
        except BadEvent as error:
            self.fault(name, error.code, error.message)
            return None
        if number < 0:
            self.fault(name, "value_negative", "must not be negative")
            return None
        return number

    def required(self, name: str, found: str | None) -> str | None:
        """Note a missing field, unless another fault has been noted for it already."""
        if self.value.get(name) is None:
            self.fault(name, "field_missing", "is required")
        return found

    def texts(self, name: str, bytes_max: int, count_max: int) -> tuple[str, ...]:
        """A list of different texts; absent means empty. ``true`` and ``false`` stand for their words."""
        found: list[str] = []
        for index, raw in enumerate(self.items(name, count_max)):
            at = f"{name}[{index}]"
            item = str(raw).lower() if isinstance(raw, bool) else raw
            if not isinstance(item, str):
                self.fault(at, "not_text", f"must be a text, not {kind_of(raw)}")
            elif item in found:
                self.fault(at, "given_twice", f"{item!r} is given twice")
            elif (text := self.printable(at, item, bytes_max)) is not None:
                found.append(text)
        return tuple(found)

    def each(self, name: str, read: Callable[[Fields], T], count_max: int) -> tuple[T, ...]:
        """A list of mappings, each read by ``read``; absent means empty."""
        return tuple(read(entry) for entry in self.mappings(name, count_max))

    def mappings(self, name: str, count_max: int) -> Iterator[Fields]:
        """The mappings of a list; after ``read`` has had one, its unknown fields are noted."""
        for index, raw in enumerate(self.items(name, count_max)):
            at = f"{self.at(name)}[{index}]"
            if isinstance(raw, dict):
                entry = Fields(raw, at, self.faults)
                yield entry
                entry.end()
            else:
                self.faults.add(at, "not_mapping", f"must be a mapping of fields, not {kind_of(raw)}")

    def items(self, name: str, count_max: int) -> list[object]:
        """A list as it stands."""
        raw = self.take(name)
        if raw is None:
            return []
        if not isinstance(raw, list):
            self.fault(name, "not_list", f"must be a list, not {kind_of(raw)}")
            return []
        if len(raw) > count_max:
            self.fault(name, "list_too_long", f"has {len(raw)} entries; {count_max} is the most")
            return []
        return raw

    def end(self) -> None:
        """Note every field that nobody asked for."""
        for name in self.value:
            if name not in self.asked:
                self.fault(name, "field_unknown", f"is unknown here; known are {', '.join(sorted(self.asked))}")


def shortened(said: str) -> str:
    """A text, or the beginning of one that is longer than anybody reads."""
    return said if len(said) <= SAID_MAX else f"{said[:SAID_MAX]}…"


def kind_of(raw: object) -> str:
    """What a wrong value is, in a reader's words."""
    kinds: dict[type, str] = {dict: "a mapping", list: "a list", bool: "true or false", str: "a text"}
    return "nothing" if raw is None else kinds.get(type(raw), f"a value of type {type(raw).__name__}")
