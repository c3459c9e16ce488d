"""The rules of the door, column by column: from shapes to rows that will be billed, and reasons for the others."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from xxhash import xxh3_64_digest, xxh3_128_digest

from core.errors import BadEvent, Problem, Refused
from core.ids import new_id
from core.limits import (
    BACKFILL_YEARS_MAX,
    DECOMPRESSED_BYTES_MAX,
    EVENT_AGE_DAYS_MAX,
    EVENT_AHEAD_SECONDS_MAX,
    EVENT_ID_BYTES_MAX,
    PROPERTY_VALUE_BYTES_MAX,
    SOURCE_BYTES_MAX,
    SUBJECT_BYTES_MAX,
    TYPE_BYTES_MAX,
)
from ingest.decode import Decoded
from ingest.forms import Draft, draft_events
from ingest.needs import NO_NEEDS, Needs
from ingest.properties import Layout, Layouts, find_text_fault, flatten, plan_layout
from ingest.quantity_text import plain_quantity
from ingest.rows import Rows
from ingest.shape import Shape
from ingest.texts import find_text_faults
from ingest.times import read_column, read_time
from ingest.verdict import Rejection, Verdict

DAY_US = 86_400_000_000
# Layouts kept for a merchant, and how long their names may be together.
LAYOUTS_MAX = 500
LAYOUT_CHARS_MAX = 2_000


@dataclass(slots=True)
class Rules:
    """What holds for all events of one request. ``plain_ascii`` says that its body held printable ASCII only."""

    merchant_id: str
    received_us: int
    needs: Mapping[str, Needs]
    backfill: bool = False
    cloud_only: bool = False
    plain_ascii: bool = False
    layouts: Layouts = field(default_factory=dict)
    layout_chars: int = 0


def judge(decoded: Decoded, first_index: int, rules: Rules, verdict: Verdict) -> None:
    """Judge events, of which the first has ``first_index`` in its request, and add the outcome to ``verdict``."""
    shapes = [item for item in decoded if isinstance(item, Shape)]
    indexes = range(first_index, first_index + len(decoded))
    if len(shapes) != len(decoded):
        pairs = list(zip(indexes, decoded, strict=True))
        rejected = [Rejection(index, None, item) for index, item in pairs if isinstance(item, Problem)]
        verdict.rejections += rejected
        indexes = [index for index, item in pairs if isinstance(item, Shape)]  # type: ignore[assignment]
    if not shapes:
        return
    draft = draft_events(shapes, cloud_only=rules.cloud_only)
    occurred_us, time_texts = check_columns(draft, rules)
    good = [row not in draft.faults for row in range(len(shapes))] if draft.faults else None
    rows = Rows(rules.received_us)
    kept = digest(rows, draft, time_texts, rules, good=good, careful=not rules.plain_ascii)
    if rules.plain_ascii and max(map(len, rows.bodies), default=0) > PROPERTY_VALUE_BYTES_MAX:
        rows = Rows(rules.received_us)
        kept = digest(rows, draft, time_texts, rules, good=good, careful=True)
    rows.occurred_us = occurred_us if len(kept) == len(shapes) else [occurred_us[row] for row in kept]
    settle(verdict, draft, rows, indexes, shapes)


def settle(verdict: Verdict, draft: Draft, rows: Rows, indexes: Any, shapes: list[Shape]) -> None:
    """Enter a judged draft into the verdict, with the indexes that the sender knows."""
    for row in sorted(draft.faults):
        verdict.rejections.append(Rejection(indexes[row], shapes[row].id, draft.faults[row]))
    if rows.keys:
        verdict.rows.append(rows)
    for row, shape in enumerate(shapes):
        if shape.id is None and row not in draft.faults:
            verdict.generated.append((indexes[row], str(draft.ids[row])))


def check_columns(draft: Draft, rules: Rules) -> tuple[list[int], list[str]]:
    """Check names and times, adding to the draft's faults; make missing ids. Returns instants and times as given."""
    if None in draft.ids:
        draft.ids = [new_id("evt") if one is None else one for one in draft.ids]
    columns: tuple[tuple[list[Any], str, int], ...] = (
        (draft.ids, "id", EVENT_ID_BYTES_MAX),
        (draft.types, "type", TYPE_BYTES_MAX),
        (draft.subjects, "subject", SUBJECT_BYTES_MAX),
        (draft.sources, "source", SOURCE_BYTES_MAX),
    )
    for column, name, bytes_max in columns:
        empty_ok = name == "source"
        faults = find_text_faults(column, name, bytes_max, plain_ascii=rules.plain_ascii, empty_ok=empty_ok)
        draft.faults.update((row, fault) for row, fault in faults.items() if row not in draft.faults)
    occurred_us, time_texts = read_times(draft, rules.received_us)
    check_clock(draft, occurred_us, rules)
    return occurred_us, time_texts


def read_times(draft: Draft, received_us: int) -> tuple[list[int], list[str]]:
    """Instants in microseconds, and the texts that count for the body's digest (empty when none was given)."""
    instants = read_column(draft.times)
    if instants is not None:
        return instants, draft.times
    occurred_us: list[int] = []
    time_texts: list[str] = []
    for row, value in enumerate(draft.times):
        try:
            occurred_us.append(received_us if value is None else read_time(value))
            time_texts.append("" if value is None else str(value))
        except ValueError as error:
            draft.faults.setdefault(row, Problem("time_invalid", str(error), "time"))
            occurred_us.append(received_us)
            time_texts.append("")
    return occurred_us, time_texts


def check_clock(draft: Draft, occurred_us: list[int], rules: Rules) -> None:
    """Refuse events from too far back or ahead."""
    days = BACKFILL_YEARS_MAX * 366 if rules.backfill else EVENT_AGE_DAYS_MAX
    oldest_us = rules.received_us - days * DAY_US
    newest_us = rules.received_us + EVENT_AHEAD_SECONDS_MAX * 1_000_000
    if min(occurred_us) >= oldest_us and max(occurred_us) <= newest_us:
        return
    hint = "" if rules.backfill else "; send old events with ?backfill=true"
    for row, instant in enumerate(occurred_us):
        if instant < oldest_us:
            draft.faults.setdefault(row, Problem("time_too_old", f"the event is older than {days} days{hint}", "time"))
        elif instant > newest_us:
            message = f"the event is more than {EVENT_AHEAD_SECONDS_MAX} seconds in the future"
            draft.faults.setdefault(row, Problem("time_ahead", message, "time"))


def digest(
    rows: Rows, draft: Draft, time_texts: list[str], rules: Rules, *, good: list[bool] | None, careful: bool
) -> list[int]:
    """Write and hash the texts of a checked draft's events: the one loop over them. Returns the rows that it kept.

    A value beyond its limit is only looked for by a ``careful`` pass.
    """
    layouts, prefix = rules.layouts, rules.merchant_id
    kept: list[int] = []
    columns = zip(draft.types, draft.subjects, draft.sources, draft.ids, time_texts, draft.properties, strict=True)
    for row, (event_type, subject, source, event_id, time_text, properties) in enumerate(columns):
        if good is not None and not good[row]:
            continue
        try:
            names, texts = flatten(properties)
            layout = layouts.get((event_type, *names)) or add_layout(rules, str(event_type), names)
            values: Sequence[str] = layout.pick(texts) if layout.pick else texts
            if careful:
                check_texts(names, texts)
            head = f"{event_type}\0{subject}\0{time_text}{layout.tail}"
            body = "\0".join((head, *values)).encode()
            hashed = xxh3_64_digest(body)
            if layout.metered:
                plain = plain_values(layout, values)
                if plain is not values:
                    body = "\0".join((head, *plain)).encode()
        except BadEvent as bad:
            draft.faults[row] = Problem(bad.code, bad.message, bad.field or "properties")
            continue
        identity = f"{prefix}\0{source}\0{event_id}".encode()
        rows.keys.append(xxh3_128_digest(identity))
        rows.identities.append(identity)
        rows.body_hashes.append(hashed)
        rows.bodies.append(body)
        kept.append(row)
    return kept


def add_layout(rules: Rules, event_type: str, names: tuple[str, ...]) -> Layout:
    """Plan a type and set of names seen for the first time. Honest requests repeat a few; their room is bounded."""
    rules.layout_chars += sum(map(len, names))
    if rules.layout_chars > DECOMPRESSED_BYTES_MAX:
        raise Refused("too_many_values", "the properties take too much room once flattened", 413)
    layout = plan_layout(names, rules.needs.get(event_type, NO_NEEDS))
    if len(rules.layouts) < LAYOUTS_MAX and len(layout.tail) < LAYOUT_CHARS_MAX:
        rules.layouts[(event_type, *names)] = layout
    return layout


def check_texts(names: tuple[str, ...], texts: list[str]) -> None:
    """Raise what is wrong with an event's values as texts."""
    fault = find_text_fault(names, texts)
    if fault:
        raise fault


def plain_values(layout: Layout, values: Sequence[str]) -> Sequence[str]:
    """Metered values as plain decimals: the same sequence when they are already, as nearly always.

    Raises ``BadEvent`` when a required one is no decimal. The digest is of what was sent, before this: it must not
    change with the catalog.
    """
    changed: list[str] | None = None
    for place in layout.required:
        text = values[place]
        try:
            plain = plain_quantity(text)
        except BadEvent as bad:
            raise BadEvent(bad.code, bad.message, f"properties.{layout.name_at(place)}") from bad
        if plain != text:
            changed = changed or list(values)
            changed[place] = plain
    for place in layout.optional:
        try:
            plain = plain_quantity(values[place])
        except BadEvent:
            continue
        if plain != values[place]:
            changed = changed or list(values)
            changed[place] = plain
    return changed or values
