"""A diff in words for people, and in JSON for programs."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import Any

from catalog.change import Change, FieldChange
from catalog.diff import Diff

CHANGES_SHOWN_MAX = 20


def describe(diff: Diff, shown_max: int = CHANGES_SHOWN_MAX) -> Iterator[str]:
    """One line a change: ``+`` to create, ``~`` to change with old and new, ``=`` how much stays.

    Of each kind and sign only the first ``shown_max`` are told one by one, the rest as a count.
    """
    yield f"merchant {diff.declaration.merchant.code}"
    for (kind, creates), group in groupby(sorted_changes(diff), key=lambda change: (change.kind, change.creates)):
        changes = list(group)
        sign = "+" if creates else "~"
        for change in changes[:shown_max]:
            yield f"  {sign} {kind} {change.code}{fields_text(change)}"
        if len(changes) > shown_max:
            yield f"  {sign} {kind}: {len(changes) - shown_max:,} more"
    yield f"  = {diff.unchanged:,} unchanged"


def sorted_changes(diff: Diff) -> list[Change[Any]]:
    """Kinds in the order of writing, what is new before what changes, else as in the file."""
    kinds: dict[str, int] = {}
    for change in diff.changes:
        kinds.setdefault(change.kind, len(kinds))
    return sorted(diff.changes, key=lambda change: (kinds[change.kind], not change.creates))


def fields_text(change: Change[Any]) -> str:
    """What is said about a change's fields, after its name."""
    told = "; ".join(field_text(field) for field in change.fields if change.current or field.new)
    return f": {told}" if told else ""


def field_text(field: FieldChange) -> str:
    """One field, with what it was before."""
    if field.old is None:
        return f"{field.name} {field.new}"
    return f"{field.name} {field.old or '(none)'} -> {field.new or '(none)'}"


def counts(diffs: Sequence[Diff]) -> dict[str, int]:
    """How much is created, changed and left as it is."""
    changes = [change for diff in diffs for change in diff.changes]
    created = sum(change.creates for change in changes)
    return {
        "created": created,
        "changed": len(changes) - created,
        "unchanged": sum(diff.unchanged for diff in diffs),
    }


def as_json(diff: Diff) -> dict[str, object]:
    """One document's diff as plain data, complete."""
    return {
        "merchant": diff.declaration.merchant.code,
        **counts([diff]),
        "changes": [
            {
                "action": "create" if change.creates else "change",
                "kind": change.kind,
                "code": change.code,
                "path": change.path,
                "fields": [{"name": field.name, "old": field.old, "new": field.new} for field in change.fields],
            }
            for change in diff.changes
        ],
    }
