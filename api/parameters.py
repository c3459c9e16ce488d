"""Query parameters, read strictly: what is not understood is refused, never ignored."""

from __future__ import annotations

from datetime import date, datetime
from typing import get_args
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from fastapi import Request

from api.list_events import PAGE_EVENTS_MAX, EventsQuestion, Fate
from api.usage import ROWS_MAX
from clickhouse.report import EARLIEST, LATEST, Grain, UsageQuestion
from clickhouse.top import TopQuestion
from core.errors import Refused
from core.period import day_start

PAGE_EVENTS = 100
PAGE_ROWS = 1_000
TOP_CUSTOMERS = 100
SWITCH = {"true": True, "1": True, "false": False, "0": False}


class Parameters:
    """The parameters of one request. Every one must be known, and given once unless it may repeat."""

    def __init__(self, request: Request, known: frozenset[str], repeated: frozenset[str] = frozenset()) -> None:
        self._values: dict[str, list[str]] = {}
        for name, value in request.query_params.multi_items():
            if name not in known | repeated:
                raise Refused("parameter_unknown", f"there is no parameter {name[:80]!r}: {', '.join(sorted(known))}")
            if "\0" in value:
                raise Refused("parameter_invalid", f"{name} holds a NUL character")
            self._values.setdefault(name, []).append(value)
        for name, values in self._values.items():
            if len(values) > 1 and name not in repeated:
                raise Refused("parameter_repeated", f"{name} may be given once")

    def all(self, name: str) -> tuple[str, ...]:
        """Every value of a parameter that may repeat."""
        return tuple(self._values.get(name, ()))

    def text(self, name: str) -> str | None:
        """A text, as it is."""
        return self._values[name][0] if name in self._values else None

    def one_of(self, name: str, choices: tuple[str, ...]) -> str | None:
        """One of some words."""
        value = self.text(name)
        if value is not None and value not in choices:
            raise Refused("parameter_invalid", f"{name} is one of {', '.join(choices)}")
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 1."""
        value = self.text(name)
        if value is None:
            return default
        if not value.isascii() or not value.isdecimal() or not 1 <= int(value[:9]) <= most or len(value) > 9:
            raise Refused("parameter_invalid", f"{name} is a whole number from 1 to {most}")
        return int(value)

    def switch(self, name: str) -> bool:
        """True or false; false when it is missing."""
        value = self.text(name)
        if value is not None and value.lower() not in SWITCH:
            raise Refused("parameter_invalid", f"{name} is true or false")
        return SWITCH[(value or "false").lower()]

    def instant(self, name: str, zone: str) -> datetime | None:
        """A day (its first instant in the zone) or an instant (in the zone unless it names another)."""
        value = self.text(name)
        return None if value is None else read_moment(name, value, zone)


def read_moment(name: str, value: str, zone: str) -> datetime:
    """A day or an instant; raises ``Refused`` for anything else."""
    # An unescaped + of an offset arrives as a blank.
    value = value.replace(" ", "+") if "T" in value else value
    try:
        if len(value) == len("2023-11-01"):
            moment = day_start(date.fromisoformat(value), zone)
        else:
            moment = datetime.fromisoformat(value)
            moment = moment if moment.tzinfo else moment.replace(tzinfo=ZoneInfo(zone))
        inside = EARLIEST <= moment <= LATEST
    except (ValueError, OverflowError) as error:
        raise Refused("parameter_invalid", f"{name} is neither a day nor an instant of ISO 8601") from error
    if not inside:
        raise Refused("parameter_invalid", f"{name} lies outside of {EARLIEST:%Y} to {LATEST:%Y}")
    return moment


def read_zone(name: str | None) -> str:
    """A zone of the IANA database, UTC by default."""
    try:
        return ZoneInfo(name or "UTC").key
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise Refused("parameter_invalid", "zone is one of the IANA database, such as Europe/Berlin") from error


def read_events_question(request: Request) -> tuple[EventsQuestion, int, str | None]:
    """Which events, how many a page, and the cursor."""
    texts = ("id", "source", "subject", "type")
    given = Parameters(request, frozenset({*texts, "fate", "from", "to", "limit", "cursor"}))
    fate: Fate | None = given.one_of("fate", get_args(Fate))  # type: ignore[assignment]
    question = EventsQuestion(
        event_id=given.text("id"),
        source=given.text("source"),
        subject=given.text("subject"),
        type=given.text("type"),
        fate=fate,
        since=given.instant("from", "UTC"),
        before=given.instant("to", "UTC"),
    )
    return question, given.number("limit", PAGE_EVENTS, PAGE_EVENTS_MAX), given.text("cursor")


def read_customer(request: Request) -> str:
    """The key of the one customer that must be named."""
    customer = Parameters(request, frozenset({"customer"})).text("customer")
    if not customer:
        raise Refused("parameter_missing", "customer is needed: the key of one customer")
    return customer


def read_usage_question(request: Request) -> UsageQuestion:
    """Which usage; merchants are left to the key."""
    given = Parameters(
        request, frozenset({"by", "zone", "from", "to", "group", "limit"}), frozenset({"meter", "customer"})
    )
    grain: Grain = given.one_of("by", get_args(Grain)) or "day"  # type: ignore[assignment]
    zone = read_zone(given.text("zone"))
    return UsageQuestion(
        grain=grain,
        zone=zone,
        by_group=given.switch("group"),
        since=given.instant("from", zone) or EARLIEST,
        until=given.instant("to", zone) or LATEST,
        subjects=given.all("customer"),
        meters=given.all("meter"),
        limit=given.number("limit", PAGE_ROWS, ROWS_MAX),
    )


def read_top_question(request: Request) -> TopQuestion:
    """Which largest customers; the merchant is left to the key."""
    given = Parameters(request, frozenset({"meter", "zone", "from", "to", "limit"}))
    zone = read_zone(given.text("zone"))
    return TopQuestion(
        merchant_id="",
        meter=given.text("meter"),
        since=given.instant("from", zone) or EARLIEST,
        until=given.instant("to", zone) or LATEST,
        limit=given.number("limit", TOP_CUSTOMERS, ROWS_MAX),
    )
