"""The rules of corrections in plain Python, one row after the other, and how a reader adds a partition's rows up."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from decimal import Decimal

from catalog.meter import Meter
from core.errors import BadEvent
from ingest.event import AMEND, BACKFILL, RELEASE, RETRACT, event_key
from streams.rows import FATES
from tests.streams.builders import Said, minutes
from tests.streams.naive import Total, all_hold, group_of, value_of
from tests.streams.stories import Corrected, Filled, Told, Variant, hash_of


@dataclass
class Key:
    """What the oracle knows of a key: its state and the content that gave it."""

    state: str = "nothing"
    said: Said | None = None
    body: int = 0
    version: int = 0
    # When it began to count: the number of its message.
    since: int = 0


def judge_retract(state: str, _same: bool, _verdict: str, _why: str) -> tuple[str, str]:
    """Take back what is there."""
    if state == "nothing":
        return "held", "unknown_event"
    return ("duplicate" if state == "gone" else "retraction"), ""


def judge_amend(state: str, same: bool, verdict: str, why: str) -> tuple[str, str]:
    """Replace what is there, or count again what was taken back."""
    if state == "nothing":
        return "held", "unknown_event"
    if state == "counted" and same:
        return "duplicate", ""
    if verdict == "good":
        return "stored", ""
    return ("held" if state == "waiting" and verdict == "unknown" else "rejected"), why


def judge_release(state: str, same: bool, verdict: str, why: str) -> tuple[str, str]:
    """Count what waits, if it is still what waits."""
    if state != "waiting" or not same or verdict == "unknown":
        return "duplicate", ""
    return ("stored", "") if verdict == "good" else ("rejected", why)


def judge_backfill(state: str, same: bool, verdict: str, why: str) -> tuple[str, str]:
    """Hold what is new."""
    if state in {"counted", "waiting"}:
        return ("duplicate" if same else "conflict"), ""
    return ("rejected", why) if verdict == "bad" else ("held", "backfill")


JUDGES = {RETRACT: judge_retract, AMEND: judge_amend, RELEASE: judge_release, BACKFILL: judge_backfill}


@dataclass
class Oracle:
    """The rules of corrections in plain Python, one row after the other."""

    variants: Sequence[Variant]
    keys: dict[bytes, Key] = field(default_factory=dict)
    claims: dict[bytes, int] = field(default_factory=dict)
    fates: list[tuple[str, str]] = field(default_factory=list)
    fills: list[tuple[int, int, Filled]] = field(default_factory=list)

    def hear(self, told: Told, number: int, version: int) -> None:
        """Take one message in; ``version`` is that of its block."""
        if isinstance(told, Filled):
            self.fills.append((number, version, told))
            return
        for one in told:
            said = one.said if isinstance(one, Corrected) else one
            event = event_key(said.merchant, said.source, said.id)
            key = self.keys.setdefault(event, Key())
            fate = (
                self.corrected(one, event, key, version, number)
                if isinstance(one, Corrected)
                else self.event(one, event, key, version, number)
            )
            self.fates.append(fate)

    def judge(self, said: Said, version: int) -> tuple[str, str]:
        """What a catalog makes of an event: good, unknown or bad, and why."""
        variant = self.variants[version]
        mine = [one for one in variant.meters if one.event_type == said.type]
        for one in sorted(mine, key=lambda one: one.code):
            if all_hold(one.filters, said):
                try:
                    value_of(one, said)
                except BadEvent as bad:
                    return "bad", bad.code
        if not mine:
            return "unknown", "unknown_meter"
        return ("good", "") if said.subject in variant.subjects else ("unknown", "unknown_customer")

    def event(self, said: Said, event: bytes, key: Key, version: int, number: int) -> tuple[str, str]:
        """An event, or a copy of one."""
        if event in self.claims:
            return ("duplicate" if self.claims[event] == hash_of(said) else "conflict"), ""
        verdict, why = self.judge(said, version)
        if verdict == "bad":
            return "rejected", why
        self.claims[event] = hash_of(said)
        state = "counted" if verdict == "good" else "waiting"
        self.keys[event] = replace(key, state=state, said=said, body=hash_of(said), version=version, since=number)
        return ("stored" if verdict == "good" else "held"), why

    def corrected(self, one: Corrected, event: bytes, key: Key, version: int, number: int) -> tuple[str, str]:
        """A correction."""
        same = hash_of(one.said) == key.body
        verdict, why = self.judge(one.said, version)
        fate, reason = JUDGES[one.action](key.state, same, verdict, why)
        if fate in {"stored", "retraction"} or (fate == "held" and reason != "unknown_event"):
            state = {"stored": "counted", "retraction": "gone", "held": "waiting"}[fate]
            self.keys[event] = Key(state, one.said, hash_of(one.said), version, number)
            if reason == "backfill":
                self.claims.setdefault(event, hash_of(one.said))
        return fate, reason

    def windows(self) -> dict[tuple[str, str, str, datetime, str], Total]:
        """What every window must hold, from the events that count."""
        found: dict[tuple[str, str, str, datetime, str], Total] = {}
        for event, key in self.keys.items():
            if key.state == "counted" and key.said is not None:
                for counting in self.meters_of(key, key.said):
                    count(found, counting, key.said, event)
        return found

    def meters_of(self, key: Key, said: Said) -> Iterator[Meter]:
        """The meters that count an event, by its block's catalog or that of the youngest fill since."""
        ids = {one.meter_id for variant in self.variants for one in variant.meters}
        for meter_id in sorted(ids):
            version = key.version
            for number, filled_by, filled in self.fills:
                inside = minutes(filled.since) <= said.at < minutes(filled.until)
                if filled.meter_id == meter_id and number > key.since and inside:
                    version = filled_by
            for one in self.variants[version].meters:
                if one.meter_id == meter_id and one.event_type == said.type and usable(one, said):
                    yield one


def usable(one: Meter, said: Said) -> bool:
    """Whether the meter can count the event."""
    try:
        value_of(one, said)
    except BadEvent:
        return False
    return all_hold(one.filters, said)


def count(found: dict[tuple[str, str, str, datetime, str], Total], counting: Meter, said: Said, key: bytes) -> None:
    """Add one event to one window."""
    start = said.at.replace(second=0, microsecond=0)
    name = (counting.code, counting.aggregation, said.subject, start, group_of(counting, said))
    total, value = found.setdefault(name, Total()), value_of(counting, said)
    total.events += 1
    if counting.aggregation == "unique" and counting.value_property:
        total.values.add(said.properties[counting.value_property])
    if counting.aggregation == "count":
        total.sum += 1
    elif value is not None:
        total.sum += value
        total.min = value if total.min is None else min(total.min, value)
        total.max = value if total.max is None else max(total.max, value)
        if counting.aggregation == "latest" and (total.last is None or total.last[:2] < (said.at, key)):
            total.last = (said.at, key, value)


Plain = tuple[int, Decimal, Decimal, Decimal, Decimal, tuple[str, ...]]


def plain(total: Total) -> Plain:
    """A total as it can be compared."""
    zero = Decimal(0)
    last = zero if total.last is None else total.last[2]
    return (total.events, total.sum, total.min or zero, total.max or zero, last, tuple(sorted(total.values)))


def read(windows: Sequence[dict[str, object]], uniques: Sequence[dict[str, object]]) -> dict[tuple[object, ...], Plain]:
    """What a reader makes of a partition's rows: those before the youngest restating row of a window do not count."""
    restated: dict[tuple[object, ...], datetime] = {}
    for row in windows:
        if row["restates"]:
            name, at = window_of(row), row["stored_at"]
            assert isinstance(at, datetime)
            restated[name] = max(at, restated.get(name, at))

    def counts(row: dict[str, object]) -> bool:
        since = restated.get(window_of(row))
        at = row["stored_at"]
        assert isinstance(at, datetime)
        return since is None or at >= since

    found: dict[tuple[object, ...], Total] = {}
    for row in filter(counts, windows):
        if row["events"]:
            add_row(found.setdefault(name_of(row, str(row["aggregation"])), Total()), row)
    for row in filter(counts, uniques):
        found[name_of(row, "unique")].values.add(str(row["value"]))
    return {name: plain(total) for name, total in found.items()}


def window_of(row: dict[str, object]) -> tuple[object, ...]:
    """What names a window of a partition."""
    return tuple(row[name] for name in ("merchant_id", "customer_id", "meter_id", "window_start", "group_key"))


def name_of(row: dict[str, object], aggregation: str) -> tuple[object, ...]:
    """The oracle's name of a row's window."""
    return (row["meter"], aggregation, row["subject"], row["window_start"], row["group_key"])


def add_row(total: Total, row: dict[str, object]) -> None:
    """Add up one row of ``usage_windows``."""
    events, sum_, least, most = row["events"], row["sum"], row["min"], row["max"]
    last_at, last_key, last = row["last_at"], row["last_key"], row["last"]
    assert isinstance(events, int)
    assert isinstance(sum_, Decimal)
    assert isinstance(least, Decimal)
    assert isinstance(most, Decimal)
    assert isinstance(last, Decimal)
    assert isinstance(last_at, datetime)
    assert isinstance(last_key, bytes)
    total.events += events
    total.sum += sum_
    total.min = least if total.min is None else min(total.min, least)
    total.max = most if total.max is None else max(total.max, most)
    if total.last is None or total.last[:2] < (last_at, last_key):
        total.last = (last_at, last_key, last)


def fates_of(events: Sequence[dict[str, object]]) -> list[tuple[str, str]]:
    """Fate and reason of each row, in the order of the log."""
    rows = sorted(events, key=lambda row: (row["kafka_offset"], row["position"]))
    return [(FATES[int(str(row["fate"]))], str(row["reason"])) for row in rows]
