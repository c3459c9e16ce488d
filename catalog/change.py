"""One difference between what a file declares and what the books hold."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Generic, Literal, TypeVar

D = TypeVar("D")

Kind = Literal["merchant", "meter", "plan", "price", "customer", "subscription", "override"]
Says = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Known(Generic[D]):
    """What the books hold now: its id, and what a file would have to say to declare it."""

    row_id: str
    value: D
    version: int = 1


@dataclass(frozen=True, slots=True)
class FieldChange:
    """One field, before and after; ``old`` is ``None`` for something new."""

    name: str
    old: str | None
    new: str


@dataclass(frozen=True, slots=True)
class Change(Generic[D]):
    """Something to create (``current`` is ``None``) or to change; ``path`` is its place in the file."""

    kind: Kind
    code: str
    declared: D
    current: Known[D] | None
    fields: tuple[FieldChange, ...]
    path: str

    @property
    def creates(self) -> bool:
        """Whether it is new."""
        return self.current is None


@dataclass(frozen=True, slots=True)
class Naming(Generic[D]):
    """How one kind is compared: what a thing is called, and its fields as text (``None``: the file says nothing)."""

    kind: Kind
    list_path: str
    code: Callable[[D], str]
    says: Callable[[D], Says]


def compare(naming: Naming[D], declared: Iterable[D], known: Mapping[str, Known[D]]) -> list[Change[D]]:
    """What has to be created or changed for the books to say what is declared; the unchanged are left out."""
    changes = []
    for index, item in enumerate(declared):
        code = naming.code(item)
        current = known.get(code)
        fields = differences(naming.says(item), None if current is None else naming.says(current.value))
        if current is None or fields:
            changes.append(Change(naming.kind, code, item, current, fields, f"{naming.list_path}[{index}]"))
    return changes


def differences(new: Says, old: Says | None) -> tuple[FieldChange, ...]:
    """The fields that are said anew or otherwise than before."""
    before: Says = {} if old is None else old
    return tuple(
        FieldChange(name, before.get(name), text)
        for name, text in new.items()
        if text is not None and text != before.get(name)
    )
