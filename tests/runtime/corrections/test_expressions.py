"""Meters that work their value out of several properties, on a running line: exact, filled, corrected and audited."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from core.quantity import EXACT
from runtime.release.send import LogSender
from runtime.release.turn import ReleaseParts
from tests.runtime.corrections.conftest import CATALOG, METERS, Event, Sender, apply, event, until
from tests.runtime.corrections.test_fill import filled
from tests.streams.expression_oracle import worked_out

USED = "round(properties.size * properties.s, 3) / 3600"
OTHER = "max(properties.size - 2, 0) * properties.s"
FOLDS = ("sum", "avg", "latest")


def meters(expression: str, *folds: str) -> str:
    """Meters of an expression, one an aggregation, beside the usual ones."""
    lines = [
        f'  - {{code: used_{one}, event_type: call, aggregation: {one}, expression: "{expression}"}}' for one in folds
    ]
    return CATALOG.replace(METERS, "\n".join([METERS, *lines]))


def used(number: int, **more: Any) -> Event:
    """An event with two numbers."""
    one = event(number, **more)
    return one | {"properties": {"size": str(number % 7 + Decimal("0.125")), "s": number % 11 * 37}}


def expected(sender: Sender, expression: str) -> dict[str, Decimal]:
    """What the definition says of all events that count; no two are of one instant."""
    some = sorted(sender.alive.values(), key=lambda one: str(one["time"]))
    texts = [{name: str(value) for name, value in one["properties"].items()} for one in some]
    values = [worked_out(expression, said) for said in texts]
    total = sum(values, Decimal(0))
    return {
        "used_sum": total,
        "used_avg": EXACT.quantize(EXACT.divide(total, Decimal(len(values))), Decimal("0.000000000001")),
        "used_latest": values[-1],
    }


def shown(sender: Sender) -> dict[str, Decimal]:
    """What the views say of one customer's day."""
    sql = "SELECT toString(meter) AS meter, quantity FROM usage_by_day WHERE meter LIKE 'used%'"
    return dict(sender.line.store.query_frame(sql).iter_rows())


def test_windows_by_expression_are_exact_and_an_audit_finds_nothing(
    sender: Sender, releasing: ReleaseParts, log_sender: LogSender
) -> None:
    """As events come, after corrections, filled from events of before, and under an edited expression."""
    apply(sender.line, meters(USED, "sum"))
    sender.send([used(number) for number in range(300)])
    sender.correct([{"action": "retract", "id": f"e{number}"} for number in range(0, 300, 9)])
    sender.correct([{"action": "amend", "event": used(number) | {"id": "e1"}} for number in (301,)])
    sender.settle()
    assert shown(sender) == {"used_sum": expected(sender, USED)["used_sum"]}
    sender.audit_agrees()

    apply(sender.line, meters(USED, *FOLDS))
    for one in FOLDS[1:]:
        assert len(filled(sender, releasing, log_sender, f"used_{one}").changed) == 1
    assert shown(sender) == expected(sender, USED)
    sender.audit_agrees()

    apply(sender.line, meters(OTHER, *FOLDS))
    sender.send([used(number) for number in range(400, 500)])
    sender.settle()
    sender.audit_agrees()
    for one in FOLDS:
        filled(sender, releasing, log_sender, f"used_{one}")
    assert shown(sender) == expected(sender, OTHER)
    sender.audit_agrees()


def refused(sender: Sender, *events: Event) -> list[tuple[str, str, str]]:
    """What the door has against some events."""
    verdict = sender.ask("POST", "/v1/events?backfill=true", events)
    return [(one["id"], one["code"], one["field"]) for one in verdict["rejected"]]


def test_what_an_expression_cannot_use_is_refused_at_the_door_or_set_aside(sender: Sender) -> None:
    """A property that is missing at the door; a division by zero by the stream, which counts the others."""
    apply(sender.line, meters("properties.size / properties.s", "sum"))
    # The gateway looks for a new catalog every second; until it has it, the stream sets such an event aside.
    until(lambda: refused(sender, event(1), used(2)) == [("e1", "value_missing", "properties.s")])
    assert refused(sender, used(11), used(3)) == []
    sender.settle()

    found = sender.line.store.query_frame("SELECT event_id, reason FROM usage_events WHERE fate = 'rejected'").rows()
    assert ("e11", "value_divided_by_zero") in found
    assert set(found) <= {("e11", "value_divided_by_zero"), ("e1", "value_missing")}
    assert set(shown(sender)) == {"used_sum"}
    sender.audit_agrees()
