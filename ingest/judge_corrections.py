"""The rules of the door for corrections: from what was asked to a message's columns, and reasons for the others."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from core.errors import Problem
from core.ids import new_id
from core.limits import CORRECTION_ID_BYTES_MAX, EVENT_ID_BYTES_MAX, REASON_BYTES_MAX, SOURCE_BYTES_MAX
from ingest.columns import build_batch
from ingest.correction import Correction, build_corrections
from ingest.event import AMEND, CORRECTION_SCHEMA, ENVELOPE_SCHEMA, RETRACT, event_key
from ingest.read_corrections import Asked, Read, is_flat_form
from ingest.texts import text_fault
from ingest.times import instant_of
from ingest.validate import Rules, judge
from ingest.verdict import Rejection, Verdict, describe


@dataclass(slots=True)
class CorrectionVerdict:
    """What the door says about a request's corrections: the good ones as ``CORRECTION_SCHEMA``, and reasons.

    ``correction_id`` is the id that was made for those that came without one; None when all had theirs.
    """

    batches: list[pa.RecordBatch] = field(default_factory=list)
    rejections: list[Rejection] = field(default_factory=list)
    correction_id: str | None = None
    generated: list[tuple[int, str]] = field(default_factory=list)

    @property
    def accepted(self) -> int:
        """How many corrections were accepted."""
        return sum(batch.num_rows for batch in self.batches)

    def batch(self) -> pa.RecordBatch:
        """The accepted ones together, for a message a partition."""
        (whole,) = pa.Table.from_batches(self.batches, CORRECTION_SCHEMA).combine_chunks().to_batches()
        return whole

    def body(self) -> dict[str, object]:
        """The verdict as the answer's JSON."""
        said: dict[str, object] = {"accepted": self.accepted, "rejected": [describe(one) for one in self.rejections]}
        if self.correction_id is not None and self.batches:
            said["correction_id"] = self.correction_id
        if self.generated:
            said["generated"] = [{"index": index, "id": event_id} for index, event_id in self.generated]
            said["retry_safe"] = False
        return said


def judge_corrections(asked: Read, rules: Rules) -> CorrectionVerdict:
    """Judge the corrections of one request. Of several of one event the first counts, the others are refused."""
    verdict = CorrectionVerdict()
    good = list(outer_faults(asked, verdict))
    if any(one.correction_id is None for _index, one in good):
        verdict.correction_id = new_id("cor")
    ids = [one.correction_id or verdict.correction_id or "" for _index, one in good]
    seen: set[bytes] = set()
    amended = [(index, one, id_) for (index, one), id_ in zip(good, ids, strict=True) if one.action == AMEND]
    retracted = [(index, one, id_) for (index, one), id_ in zip(good, ids, strict=True) if one.action == RETRACT]
    # In the order in which they were sent, whichever they are: the first of a key counts.
    firsts = first_of_keys(good, rules.merchant_id, verdict, seen)
    add_amendments([row for row in amended if row[0] in firsts], rules, verdict)
    corrections = [
        Correction(RETRACT, rules.merchant_id, one.source or "", one.event_id or "", id_)
        for index, one, id_ in retracted
        if index in firsts
    ]
    if corrections:
        reasons = [one.reason for index, one, _id in retracted if index in firsts]
        received_at = instant_of(rules.received_us)
        verdict.batches.append(with_reasons(build_corrections(corrections, received_at), reasons))
    verdict.rejections.sort(key=lambda one: one.index)
    return verdict


def outer_faults(asked: Read, verdict: CorrectionVerdict) -> Iterable[tuple[int, Asked]]:
    """Those whose names can be used, with their indexes; the others are refused."""
    for index, one in enumerate(asked):
        problem = one if isinstance(one, Problem) else name_fault(one)
        if problem is not None:
            event_id = None if isinstance(one, Problem) else one.event_id
            verdict.rejections.append(Rejection(index, event_id, problem))
        elif isinstance(one, Asked):
            yield index, one


def name_fault(one: Asked) -> Problem | None:
    """What is wrong with the names of a correction."""
    checks = (
        (one.event_id, "id", EVENT_ID_BYTES_MAX, False),
        (one.source or "", "source", SOURCE_BYTES_MAX, True),
        (one.correction_id or "", "correction_id", CORRECTION_ID_BYTES_MAX, True),
        (one.reason, "reason", REASON_BYTES_MAX, True),
    )
    for text, name, bytes_max, empty_ok in checks:
        fault = text_fault(text, name, bytes_max, empty_ok=empty_ok)
        if fault:
            return fault
    if one.event is not None and time_of(one) is None:
        # Without it the event would move to the moment of its amendment, and perhaps to another month.
        return Problem("time_missing", "an amended event says when it occurred", "time")
    return None


def time_of(one: Asked) -> Any:
    """When an amended event says that it occurred, in whichever form."""
    assert one.event is not None, "asked of amendments only"
    return one.event.sent_at if is_flat_form(one.event) else one.event.time


def first_of_keys(
    good: Iterable[tuple[int, Asked]], merchant_id: str, verdict: CorrectionVerdict, seen: set[bytes]
) -> set[int]:
    """The indexes of those that are the first of their event; the others are refused."""
    firsts = set()
    for index, one in good:
        key = event_key(merchant_id, source_of(one), one.event_id or "")
        if key in seen:
            problem = Problem(
                "correction_repeated", "the request corrects this event already; send one correction", "id"
            )
            verdict.rejections.append(Rejection(index, one.event_id, problem))
            continue
        seen.add(key)
        firsts.add(index)
    return firsts


def source_of(one: Asked) -> str:
    """The source of the event meant. The flat form has none, as for events."""
    if one.event is None:
        return one.source or ""
    return "" if is_flat_form(one.event) else one.event.source or ""


def add_amendments(amended: list[tuple[int, Asked, str]], rules: Rules, verdict: CorrectionVerdict) -> None:
    """Judge amended events as the door judges events, and add the good ones with their actions."""
    shapes = [one.event for _index, one, _id in amended if one.event is not None]
    if not shapes:
        return
    judged = Verdict()
    judge(list(shapes), 0, rules, judged)
    bad = {one.index for one in judged.rejections}
    for one in judged.rejections:
        field = f"event.{one.problem.field}" if one.problem.field else "event"
        problem = Problem(one.problem.code, one.problem.message, field)
        verdict.rejections.append(Rejection(amended[one.index][0], one.event_id, problem))
    if judged.rows:
        ids = [id_ for place, (_index, _one, id_) in enumerate(amended) if place not in bad]
        verdict.batches.append(with_actions(build_batch(judged.rows), AMEND, ids))


def with_actions(events: pa.RecordBatch, action: int, ids: list[str]) -> pa.RecordBatch:
    """Events as corrections of one action, each with an id of its own."""
    columns = [events.column(field.name) for field in ENVELOPE_SCHEMA]
    actions = pa.repeat(pa.scalar(action, pa.int8()), events.num_rows)
    return pa.RecordBatch.from_arrays([*columns, actions, pa.array(ids, pa.string())], schema=CORRECTION_SCHEMA)


def with_reasons(retractions: pa.RecordBatch, reasons: list[str]) -> pa.RecordBatch:
    """Retractions that say why, as a property: the log and a held row keep it."""
    said = pa.array([[("reason", reason)] if reason else [] for reason in reasons], pa.map_(pa.string(), pa.string()))
    place = CORRECTION_SCHEMA.get_field_index("properties")
    return retractions.set_column(place, CORRECTION_SCHEMA.field(place), said)
