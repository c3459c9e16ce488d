"""Requests as clients send them, from a seed: two months of CloudEvents with repeats, late, wrong and unknown ones."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import accumulate
from random import Random
from typing import Final

from tests.rating.aggregations.meters import CUSTOMERS, MERCHANTS, subject_of

FIRST: Final = datetime(2023, 10, 1, tzinfo=UTC)
DAYS: Final = 61
MINUTES_A_DAY: Final = 6
# Where months of the three zones begin, and the hours that clocks went through twice.
EDGES: Final = (
    "10-01T00:00", "10-01T04:00", "10-29T00:30", "10-29T01:30", "10-31T22:59", "10-31T23:00", "10-31T23:59",
    "11-01T00:00", "11-01T03:59", "11-01T04:00", "11-05T05:30", "11-05T06:30", "11-30T22:59", "11-30T23:00",
    "11-30T23:59", "12-01T00:00", "12-01T04:59", "12-01T05:00",
)  # fmt: skip
# The first close is on this day: October is over everywhere, and some of it is still to come.
OCTOBER_CLOSES: Final = datetime(2023, 11, 4, tzinfo=UTC)
REQUEST_EVENTS: Final = 400
REPEATED: Final = 2_000
VALUE: Final = re.compile(r'"(tokens|gb|change)":[^,}]+')
# How many busy minutes an event may be late: four weeks, which is less than the door's limit.
LATE_MINUTES: Final = 28 * MINUTES_A_DAY
REGIONS: Final = ("eu-west-1", "eu-north-1", "us-east-1", "us-west-2", "ap-east-1", "ap", "me")
MODELS: Final = ("small-1", "small-2", "medium-1", "large-1", "large-2", "vision-1")
SIZES: Final = ("10", "9", "-9.5", "010", "1e1", "10.0", "9.999999999999", "XL", "", "0", "1e-13")
DATA_KINDS: Final = ("llm.request",) * 8 + ("network.out",) * 7 + ("disk.size",) * 3 + ("seat.change",) * 2


@dataclass(frozen=True, slots=True)
class Request:
    """A body with one merchant's events, and when it came."""

    merchant: str
    body: bytes
    received_at: datetime


def busy_minutes(rng: Random) -> list[datetime]:
    """The minutes in which something happens, in their order."""
    edges = [datetime.fromisoformat(f"2023-{edge}:00+00:00") for edge in EDGES]
    drawn = [
        FIRST + timedelta(days=day, minutes=rng.randrange(24 * 60)) for day in range(DAYS) for _ in range(MINUTES_A_DAY)
    ]
    return sorted({*edges, *drawn})


def requests_of(events: int, seed: int = 1) -> Iterator[Request]:
    """So many events, in requests in the order in which they come."""
    rng = Random(seed)
    maker = Maker(rng, busy_minutes(rng))
    made = 0
    while made < events:
        count = min(REQUEST_EVENTS, events - made)
        yield maker.request(count, made * len(maker.minutes) // events)
        made += count


class Maker:
    """Makes events, and remembers some to send them again."""

    def __init__(self, rng: Random, minutes: list[datetime]) -> None:
        self.rng = rng
        self.minutes = minutes
        self.starts = [minute.strftime("%Y-%m-%dT%H:%M:") for minute in minutes]
        self.number = 0
        self.sent: dict[str, list[str]] = {merchant: [] for merchant in MERCHANTS}
        self.shares = list(accumulate(1 / place for place in range(1, CUSTOMERS + 1)))
        self.merchant_shares = list(accumulate(place**-0.5 for place in range(1, len(MERCHANTS) + 1)))

    def request(self, count: int, place: int) -> Request:
        """Events of about the minute at a place, in a body of one merchant."""
        (merchant,) = self.rng.choices(MERCHANTS, cum_weights=self.merchant_shares)
        events = [self.event(merchant, place) for _ in range(count)]
        return Request(merchant, f"[{','.join(events)}]".encode(), self.minutes[place] + timedelta(minutes=1))

    def event(self, merchant: str, place: int) -> str:
        """A new event, or one of those before once more."""
        rng, sent = self.rng, self.sent[merchant]
        kind = rng.random()
        if kind < 0.02 and sent:
            again = rng.choice(sent)
            # The same id with another number: the first one counts, unless it was refused.
            return again if kind > 0.002 else VALUE.sub(r'"\1":77', again)
        self.number += 1
        if kind < 0.05:
            place = max(0, place - rng.randrange(LATE_MINUTES))
        text = self.spoil(self.plain(merchant, place), kind)
        if len(sent) < REPEATED:
            sent.append(text)
        else:
            sent[rng.randrange(REPEATED)] = text
        return text

    def plain(self, merchant: str, place: int) -> str:
        """An event as most are."""
        rng = self.rng
        (customer,) = rng.choices(range(CUSTOMERS), cum_weights=self.shares)
        type_ = rng.choice(DATA_KINDS)
        # Whole seconds meet each other, so that the order of keys decides which is the latest.
        second = f"{rng.randrange(60):02d}"
        second += f".{rng.randrange(10**6):06d}" if rng.random() < 0.7 else ""
        return (
            f'{{"specversion":"1.0","id":"e-{self.number:09d}","source":"/src/{self.number % 4}","type":"{type_}",'
            f'"subject":"{subject_of(merchant, customer)}","time":"{self.starts[place]}{second}Z",'
            f'"data":{{{self.data(type_)}}}}}'
        )

    def spoil(self, text: str, kind: float) -> str:
        """A few have something that makes them count for nobody."""
        if kind > 0.0505:
            return text
        if kind > 0.0504:
            return text.replace('"subject":"', '"subject":"nobody-')
        if kind > 0.0503:
            return text.replace('"type":"', '"type":"unheard.')
        if kind > 0.0502:
            return text.replace('"time":"2023-', '"time":"2023-1')
        if kind > 0.05:
            return VALUE.sub(r'"\1":"n/a"', text)
        return text

    def data(self, type_: str) -> str:
        """What an event of a type says."""
        rng = self.rng
        draw = rng.random()
        if type_ == "network.out":
            whole = 10 ** rng.choice((1, 3, 6)) if draw > 0.001 else 10**13
            peer = f',"peer":"p-{int(draw * 1000) % 3}"' if draw < 0.8 else ""
            sign = "-" if 0.5 < draw < 0.51 else ""
            return f'"gb":{sign}{rng.randrange(whole)}.{rng.randrange(10**12):012d},"zone":"z{rng.randrange(4)}"{peer}'
        if type_ == "disk.size":
            gb = 0 if draw < 0.05 else rng.randrange(2_000)
            return f'"gb":{gb}.{rng.randrange(1000):03d},"disk":"d-{rng.randrange(3)}","pool":"{"ab"[draw < 0.3]}"'
        if type_ == "seat.change":
            return f'"change":{rng.randrange(-3, 5)},"team":"t-{rng.randrange(3)}"'
        tokens = f"{rng.randrange(1, 8_000)}" if draw < 0.95 else rng.choice(
            ("-7", '"0.000000000001"', '"1e3"', "12.5", '"-0.5"', "0")
        )  # fmt: skip
        region = f',"region":"{rng.choice(REGIONS)}"' if draw > 0.05 else ""
        cached = ',"cached":true' if 0.3 < draw < 0.6 else ""
        size = f',"size":"{rng.choice(SIZES)}"' if draw < 0.7 else ""
        ms = f"{rng.randrange(1, 10 ** rng.randrange(1, 5))}.{rng.randrange(1000):03d}"
        return (
            f'"tokens":{tokens},"ms":{ms},"model":"{rng.choice(MODELS)}","user":"u-{rng.randrange(3_000)}"'
            f"{region}{cached}{size}"
        )
