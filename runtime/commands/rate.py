"""``millrace rate``: what a price would charge, tried out without a catalog or a running stack."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import orjson
import typer

from catalog.fields import Faults, Fields
from catalog.yaml_text import read_yaml
from core.errors import Refused
from rating.preview import preview, simulate_all
from rating.preview_case import Case, Event, read_case, read_event, read_json, read_price, refuse_faults

EXIT_PARKED = 3
# What belongs into each file, for whoever gave something else.
A_PRICE = 'a price is one mapping of fields, such as {"model": "per_unit", "unit_price": "0.1"}'
SOME_CASES = 'cases are a list, such as [{"price": {"model": "per_unit", "unit_price": "0.1"}, "quantity": "3"}]'
AN_EVENT = 'an event is one line: an amount, or a mapping with it, such as {"amount": "3"}'
FILE_BYTES_MAX = 256 * 1024 * 1024


def rate(
    *,
    price: Annotated[Path | None, typer.Option(help="The price: a file of JSON, or YAML.")] = None,
    quantity: Annotated[str | None, typer.Option(help="What was used in the whole period.")] = None,
    events: Annotated[Path | None, typer.Option(help="Single events in their order: a file of NDJSON.")] = None,
    value: Annotated[str | None, typer.Option(help="The property of an event that holds its amount.")] = None,
    cumulative: Annotated[str | None, typer.Option(help="Q1,Q2,...: used so far at the end of each part.")] = None,
    parts: Annotated[str | None, typer.Option(help="Q1,Q2,...: used in each part by itself.")] = None,
    buckets: Annotated[str | None, typer.Option(help="Q1,Q2,...: used in each bucket, 0 where nothing was.")] = None,
    currency: Annotated[str | None, typer.Option(help="The currency, if the price does not say it; else USD.")] = None,
    cases: Annotated[Path | None, typer.Option(help="Many prices with their usage: a file with a JSON list.")] = None,
) -> None:
    """Work out what a price charges, to the last digit, and show every step as JSON.

    The arithmetic is the very function that a close uses. --cumulative and --parts bill one period in parts: each part
    pays the difference to what the whole so far costs. Exit code 3: something could not be charged, and says why.
    """
    given = [one for one in (quantity, events, cumulative, parts, buckets) if one is not None]
    if cases is not None:
        if price is not None or given:
            raise Refused("usage_unclear", "--cases has its prices and quantities in its file")
        answers = rate_cases(cases)
    elif price is None or len(given) != 1:
        raise Refused(
            "usage_unclear", "give --price with one of --quantity, --events, --buckets, --cumulative or --parts"
        )
    else:
        usage: dict[str, object] = {} if quantity is None else {"quantity": quantity}
        lists = {"cumulative": cumulative, "parts": parts, "buckets": buckets}
        usage |= {name: listed(text) for name, text in lists.items() if text is not None}
        answers = [rate_one(price, currency, events, value, usage)]
    told = answers if cases is not None else answers[0]
    sys.stdout.write(orjson.dumps(told, option=orjson.OPT_INDENT_2).decode() + "\n")
    if any("parked_reason" in answer or "error" in answer for answer in answers):
        raise typer.Exit(EXIT_PARKED)


def rate_one(
    price: Path, currency: str | None, events: Path | None, value: str | None, usage: dict[str, object]
) -> dict[str, Any]:
    """The answer for one price; its faults have their paths within the file."""
    raw = read_document(price, A_PRICE)
    definition, code = read_price(raw, currency, path="")
    if events is not None:
        return preview(Case(definition, code, events=read_events(events, value)))
    return preview(read_case({"price": raw, "currency": code, **usage}))


def rate_cases(file: Path) -> list[dict[str, Any]]:
    """The answers for a file of cases: a list, or a mapping with ``cases``."""
    raw = read_document(file, SOME_CASES)
    return simulate_all(raw["cases"] if isinstance(raw, dict) and "cases" in raw else raw, "cases")


def listed(text: str | None) -> list[str]:
    """The entries of ``a,b,c``."""
    return [entry.strip() for entry in (text or "").split(",")]


def read_events(file: Path, value: str | None) -> tuple[Event, ...]:
    """One event a line: an amount, or a mapping with it."""
    faults = Faults()
    fields = Fields({}, "", faults)
    found = []
    for number, line in enumerate(read_file(file).splitlines(), 1):
        if line.strip():
            raw = in_file(f"{file}, line {number}", partial(read_json, line), AN_EVENT)
            found.append(read_event(fields, f"line {number}", raw, value))
    if not found:
        raise Refused("events_missing", f"{file} has no event: {AN_EVENT}; --quantity 0 tries a price on nothing")
    refuse_faults(faults, str(file))
    return tuple(found)


def read_document(file: Path, belongs: str) -> object:
    """A file of JSON, or of YAML if it is called so; numbers stay the texts that were written."""
    source = read_file(file)
    if file.suffix.lower() not in (".yaml", ".yml"):
        return in_file(str(file), partial(read_json, source), belongs)
    documents = in_file(str(file), partial(read_yaml, source), belongs)
    assert isinstance(documents, list), "read_yaml gives a list"
    if len(documents) != 1:
        raise Refused("file_not_one", f"{file} must hold one document, not {len(documents)}; {belongs}")
    return documents[0]


def in_file(place: str, read: Callable[[], object], belongs: str) -> object:
    """What is read; a refusal names the place, and says what belongs there."""
    try:
        return read()
    except Refused as refused:
        said = f"{place}: {refused.message}; {belongs}"
        raise Refused(refused.code, said, refused.status, refused.problems) from refused


def read_file(file: Path) -> bytes:
    """The file's bytes."""
    try:
        if file.stat().st_size > FILE_BYTES_MAX:
            raise Refused("file_too_large", f"{file} has more than {FILE_BYTES_MAX:,} bytes")
        return file.read_bytes()
    except OSError as error:
        raise Refused("file_unreadable", f"cannot read {file}: {error.strerror}; give the path of a file") from error
