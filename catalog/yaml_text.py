"""YAML in which every scalar stays the text that was written: ``0.0000025`` and ``2.50`` never become floats.

Read from the parser's events, not through a loader: no tag can build anything, no alias can unfold into more
than was sent, and ``no``, ``1e3`` or ``12:30`` mean themselves. JSON is read by the same code.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Protocol

import yaml

from core.errors import Refused

YAML_BYTES_MAX = 32 * 1024 * 1024
YAML_DEPTH_MAX = 12

Value = str | bool | list["Value"] | dict[str, "Value"] | None

WORDS: dict[str, bool | None] = {
    "": None, "~": None, "null": None, "Null": None, "NULL": None,
    "true": True, "True": True, "TRUE": True, "false": False, "False": False, "FALSE": False,
}  # fmt: skip


class Mark(Protocol):
    """A place in the text, counted from 0."""

    @property
    def line(self) -> int:
        """Lines before it."""

    @property
    def column(self) -> int:
        """Characters before it in its line."""


def read_yaml(source: bytes) -> list[Value]:
    """The documents of ``source``, each built of dicts, lists, texts, booleans and ``None``.

    Raises ``Refused`` with ``file_too_large``, ``file_not_utf8`` or ``yaml_invalid`` (with line and column); tags,
    anchors, aliases and double keys are refused as well.
    """
    if len(source) > YAML_BYTES_MAX:
        raise Refused("file_too_large", f"a catalog file has at most {YAML_BYTES_MAX} bytes", status=413)
    try:
        text = source.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise Refused("file_not_utf8", f"the file is not UTF-8 text: byte {error.start}") from error
    try:
        events = yaml.parse(text, Loader=yaml.CSafeLoader)
        return [build(event, events) for event in events if begins_node(event)]
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        raise invalid(error.problem or "not YAML", mark) from error
    except yaml.YAMLError as error:
        raise Refused("yaml_invalid", f"not YAML: {error}") from error


def begins_node(event: yaml.Event) -> bool:
    """Whether a value begins here; all others at this level are marks of streams and documents."""
    return isinstance(event, yaml.NodeEvent)


def build(event: yaml.Event, events: Iterator[yaml.Event], depth: int = 0) -> Value:
    """The value that begins with ``event``, taking from ``events`` what belongs to it."""
    refuse_tricks(event)
    if depth > YAML_DEPTH_MAX:
        raise invalid(f"nested deeper than {YAML_DEPTH_MAX} levels", event.start_mark)
    if isinstance(event, yaml.ScalarEvent):
        return WORDS.get(event.value, event.value) if event.implicit[0] else event.value
    if isinstance(event, yaml.SequenceStartEvent):
        return build_list(events, depth)
    assert isinstance(event, yaml.MappingStartEvent), "a node is a scalar, a sequence or a mapping"
    return build_dict(events, depth)


def build_list(events: Iterator[yaml.Event], depth: int) -> list[Value]:
    """The items up to the sequence's end."""
    items: list[Value] = []
    for event in events:
        if isinstance(event, yaml.SequenceEndEvent):
            break
        items.append(build(event, events, depth + 1))
    return items


def build_dict(events: Iterator[yaml.Event], depth: int) -> dict[str, Value]:
    """The entries up to the mapping's end; a name given twice is refused: nobody can know which one is meant."""
    entries: dict[str, Value] = {}
    for event in events:
        if isinstance(event, yaml.MappingEndEvent):
            break
        refuse_tricks(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise invalid("a field's name must be a text", event.start_mark)
        if event.value in entries:
            raise invalid(f"{event.value!r} is given twice", event.start_mark)
        entries[event.value] = build(next(events), events, depth + 1)
    return entries


def refuse_tricks(event: yaml.Event) -> None:
    """Refuse what a list of declarations has no use for, and an attacker has."""
    if isinstance(event, yaml.AliasEvent) or getattr(event, "anchor", None) is not None:
        raise invalid("anchors and aliases are not allowed: write the value out", event.start_mark)
    if getattr(event, "tag", None) is not None:
        raise invalid("tags are not allowed", event.start_mark)


def invalid(problem: str, mark: Mark | None) -> Refused:
    """The refusal, with the place counted from 1 as editors do."""
    place = "" if mark is None else f"line {mark.line + 1}, column {mark.column + 1}: "
    return Refused("yaml_invalid", f"{place}{problem}")
