"""Prices tried out: what some usage would cost, by the very function that a close calls, with nothing written.

One case is one price and one of: a quantity, events, usage by group or by bucket, or a period billed in parts. Numbers
go in and come out as texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal, localcontext
from itertools import islice
from typing import Any, Final

import orjson
import polars as pl

from catalog.price import Definition, price_text
from core.errors import Refused
from core.money import Money, to_money
from core.quantity import EXACT, plain_text
from rating.charge import tiers_json
from rating.detail import USAGE_BUCKETS, USAGE_EVENTS, USAGE_GROUPS, Detail
from rating.engine import rate
from rating.inputs import DUE_PRICES, USAGE
from rating.models.matrix import group_text
from rating.preview_case import Case, Event, read_case, read_json

# Any month would do: nothing that is previewed depends on it.
START: Final = datetime(2000, 1, 1, tzinfo=UTC)
STEP_FIELDS: Final = ("quantity", "unit_price", "flat_price", "amount")
CASES_MAX: Final = 100_000
END: Final = datetime(2000, 2, 1, tzinfo=UTC)


def simulate_json(source: bytes) -> dict[str, Any]:
    """``simulate`` of JSON text, in which every number is the decimal that its text says."""
    return simulate(read_json(source))


def simulate(raw: object) -> dict[str, Any]:
    """The answer to what a program asks: one case, or ``{"cases": [...]}``; raises ``Refused`` for a bad one.

    Among many, a bad case has its ``error`` in its place, and the others are answered all the same.
    """
    if not isinstance(raw, dict) or "cases" not in raw:
        return preview(read_case(raw))
    return {"cases": simulate_all(raw["cases"], "cases")}


def simulate_all(raws: object, path: str) -> list[dict[str, Any]]:
    """The answers to a list of cases, in its order."""
    if not isinstance(raws, list) or len(raws) > CASES_MAX:
        raise Refused("cases_not_list", f"{path} must be a list of at most {CASES_MAX:,} cases")
    read: list[Case | Refused] = []
    for index, raw in enumerate(raws):
        try:
            read.append(read_case(raw, f"{path}[{index}]"))
        except Refused as refused:
            read.append(refused)
    answers = iter(preview_all([case for case in read if isinstance(case, Case)]))
    found = [error_of(case) if isinstance(case, Refused) else next(answers) for case in read]
    return [named(raw) | answer for raw, answer in zip(raws, found, strict=True)]


def named(raw: object) -> dict[str, Any]:
    """The name of a case, to find its answer by."""
    return {"name": raw["name"]} if isinstance(raw, dict) and isinstance(raw.get("name"), str) else {}


def error_of(refused: Refused) -> dict[str, Any]:
    """What is wrong with a case."""
    problems = [{"field": found.field, "code": found.code, "message": found.message} for found in refused.problems]
    return {"error": {"code": refused.code, "message": refused.message, "problems": problems}}


def preview(case: Case) -> dict[str, Any]:
    """What a case costs, as JSON: ``unrounded``, ``amount`` and ``amount_minor``, ``tiers``, ``steps``.

    A line that cannot be rated has a ``parked_reason`` and no amounts. Where ``running`` is given there are ``parts``.
    """
    return preview_all([case])[0]


def preview_all(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """``preview`` of many cases, rated together."""
    rated = iter(lines_of([part for case in cases for part in parts_of(case)]))
    return [
        answer_of(case, next(rated))
        if case.running is None
        else part_answers(case, bill_parts(case, list(islice(rated, len(case.running)))))
        for case in cases
    ]


def rate_cumulative(definition: Definition, currency: str, running: Sequence[Decimal]) -> list[dict[str, Any]]:
    """Bill a period in parts: in each part the difference to what the whole so far costs.

    ``running`` are quantities from the period's start, each part's with all parts before it. What only the end of a
    period can tell, minimums and a commitment's true-up, is in the last part alone. The parts add up to what the last
    quantity costs at once, exactly and in money.
    """
    case = Case(definition, currency, running=tuple(running))
    return bill_parts(case, lines_of(parts_of(case)))


def parts_of(case: Case) -> list[Case]:
    """What is rated of a case: each part as if it were the whole so far, or the case itself."""
    if case.running is None:
        return [case]
    early = without_minimums(case.definition)
    last = len(case.running) - 1
    return [
        Case(case.definition if place == last else early, case.currency, quantity=quantity)
        for place, quantity in enumerate(case.running)
    ]


def bill_parts(case: Case, lines: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """What each part pays, up to the first that cannot be rated, from the rated lines of ``parts_of``."""
    parts = []
    before, billed, counted = Decimal(0), Money(0, case.currency), Decimal(0)
    with localcontext(EXACT):
        for running, line in zip(case.running or (), lines, strict=True):
            part: dict[str, Any] = {
                "quantity": plain_text(running - counted), "running_quantity": plain_text(running)
            }  # fmt: skip
            counted = running
            if line["parked_reason"] is not None:
                parts.append(part | {"parked_reason": line["parked_reason"]})
                break
            owed = to_money(line["amount"], case.currency)
            part |= amounts(line["amount"] - before, Money(owed.minor - billed.minor, case.currency))
            parts.append(part | {"so_far": amounts(line["amount"], owed) | arithmetic(line)})
            before, billed = line["amount"], owed
    return parts


def without_minimums(definition: Definition) -> Definition:
    """The price of a part that is not the last."""
    kept = {name: value for name, value in definition.items() if name not in ("minimum_amount", "minimum_packages")}
    commitment = kept.get("commitment")
    if isinstance(commitment, dict):
        kept["commitment"] = {name: value for name, value in commitment.items() if name != "true_up"}
    return kept


def lines_of(cases: Sequence[Case]) -> list[dict[str, Any]]:
    """The rated lines of cases, in their order."""
    due = [due_row(case, place) for place, case in enumerate(cases)]
    usage = [used_row(case, place) for place, case in enumerate(cases)]
    events = [
        (str(place), str(place), order, amount)
        for place, case in enumerate(cases)
        for order, (amount, _) in enumerate(one_event(case))
    ]
    groups = [
        (str(place), str(place), group_text(keys, dict(values)), amount)
        for place, case in enumerate(cases)
        if isinstance(keys := case.definition.get("group_by"), list)
        for amount, values in (case.groups or case.events or ())
    ]
    buckets = [
        (str(place), str(place), START + timedelta(hours=hour), 1, quantity)
        for place, case in enumerate(cases)
        for hour, quantity in enumerate(case.buckets or ())
    ]
    detail = Detail(
        pl.DataFrame(events, schema=USAGE_EVENTS, orient="row"),
        pl.DataFrame(groups, schema=USAGE_GROUPS, orient="row"),
        pl.DataFrame(buckets, schema=USAGE_BUCKETS, orient="row"),
    )
    lines = rate(
        pl.DataFrame(usage, schema=USAGE, orient="row"), pl.DataFrame(due, schema=DUE_PRICES, orient="row"), detail
    )
    return lines.with_columns(tiers=tiers_json(pl.col("tiers"))).to_dicts()


def one_event(case: Case) -> Sequence[Event]:
    """The events of a case; a quantity alone is one event of that amount."""
    if case.events is not None:
        return case.events
    return [(quantity_of(case), {})]


def quantity_of(case: Case) -> Decimal:
    """What a meter that adds up would say."""
    if case.quantity is not None:
        return case.quantity
    amounts_used = case.buckets or [amount for amount, _ in case.groups or case.events or ()]
    with localcontext(EXACT):
        return sum(amounts_used, Decimal(0))


def due_row(case: Case, place: int) -> dict[str, object]:
    """A case as a row of DUE_PRICES, each as a subscription of its own."""
    return dict.fromkeys(DUE_PRICES, "") | {
        "subscription_id": str(place),
        "price_id": str(place),
        "model": case.definition["model"],
        "definition": price_text(case.definition),
        "currency": case.currency,
        "period_start": START,
        "period_end": END,
    }


def used_row(case: Case, place: int) -> dict[str, object]:
    """A case as a row of USAGE."""
    return {
        "subscription_id": str(place),
        "price_id": str(place),
        "quantity": quantity_of(case),
        "events": len(case.events or ()),
        "windows": 0,
        "problem": None,
        "corrected_from": None,
    }


def part_answers(case: Case, parts: list[dict[str, Any]]) -> dict[str, Any]:
    """The answer to a case that is billed in parts."""
    return {"model": case.definition["model"], "currency": case.currency, "parts": parts} | (
        {"parked_reason": parts[-1]["parked_reason"]} if parts and "parked_reason" in parts[-1] else {}
    )


def answer_of(case: Case, line: dict[str, Any]) -> dict[str, Any]:
    """The answer to any other case."""
    found = {"model": line["model"], "currency": line["currency"], "quantity": plain_text(line["quantity"])}
    if line["parked_reason"] is not None:
        return found | {"parked_reason": line["parked_reason"], "price": case.definition}
    money = to_money(line["amount"], case.currency)
    return found | amounts(line["amount"], money) | arithmetic(line) | {"price": case.definition}


def amounts(unrounded: Decimal, money: Money) -> dict[str, Any]:
    """An amount in the ways in which it is told."""
    return {"unrounded": plain_text(unrounded), "amount": str(money.decimal()), "amount_minor": money.minor}


def arithmetic(line: dict[str, Any]) -> dict[str, Any]:
    """The tiers of a line, and the steps before and after its price, each with what the line comes to after it."""
    steps: list[dict[str, Any]] = []
    so_far = Decimal(0)
    with localcontext(EXACT):
        for row in (rows := orjson.loads(line["tiers"])):
            so_far += Decimal(row["amount"])
            if row.get("label") == "inputs":
                continue
            if "label" in row:
                said = {
                    name: value for name, value in row.items() if value is not None and name not in ("label", "tier")
                }
                steps.append({"step": row["label"]} | said | {"amount_after": plain_text(so_far)})
    return {"tiers": [row for row in rows if "label" not in row], "steps": steps}
