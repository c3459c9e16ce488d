"""The fast lane from a body to sheets, with odd events judged by the rules themselves, and from sheets to messages."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field, replace

import msgspec
import numpy as np

from core.limits import BACKFILL_YEARS_MAX, EVENT_AGE_DAYS_MAX, EVENT_AHEAD_SECONDS_MAX
from ingest.decode import BYTES_PER_CONTAINER, FAULTS, OBJECTS_BYTES_MAX, ONE, Layout, check_room
from ingest.lane.book import LAYOUTS_MAX, LayoutBook
from ingest.lane.digest import HASHES, TEXT_BYTES_MAX, Integers
from ingest.lane.message import write_messages
from ingest.lane.path import NODE, NODES_MAX
from ingest.lane.read import CELL, CELLS, END, FIRST_CELL, MARKS, NAME, ODD, START, STEP, TRAIL_MAX, TYPE
from ingest.lane.scan import DECLINED, EVENTS, FULL, LAYOUT_UNKNOWN, ROW, SLOT, STATE, USED_CELLS, scan
from ingest.lane.sheet import Sheet, sheet_of_rows
from ingest.lane.template import make_template
from ingest.lane.text import MINUTE, SLACK_BYTES, bytes_of, pad
from ingest.needs import NO_NEEDS, DoorCatalog
from ingest.rows import Accepted
from ingest.shape import Shape
from ingest.validate import DAY_US, Rules, judge
from ingest.verdict import Verdict

# Events and properties judged before others may have their turn: half a millisecond.
SLICE_EVENTS = 1_000
SLICE_CELLS = 16_000
MERCHANTS_MAX = 2_000


@dataclass(slots=True, eq=False)
class Reading:
    """A body on its way through the kernel, and what was said about it so far: ``None`` is for the slow lane to say."""

    body: bytes
    data: bytearray
    bounds: Integers
    rules: Rules
    book: LayoutBook
    state: Integers = field(default_factory=lambda: np.zeros(STATE, dtype=np.int64))
    verdict: Verdict | None = field(default_factory=Verdict)
    ended: bool = False


class FastLane:
    """Judges the plainest bodies. Its room is used anew for each slice, so everything here runs on one thread."""

    def __init__(self) -> None:
        self.template = make_template()
        self.marks = np.zeros((SLICE_EVENTS, MARKS), dtype=np.int32)
        self.cells = np.zeros((SLICE_CELLS, CELL), dtype=np.int32)
        self.instants = np.zeros(SLICE_EVENTS, dtype=np.int64)
        self.hashes = np.zeros((SLICE_EVENTS, HASHES), dtype=np.uint64)
        self.text = bytes_of(bytearray(TEXT_BYTES_MAX + SLACK_BYTES))
        self.minute = np.zeros(MINUTE, dtype=np.uint64)
        self.trail = np.zeros((TRAIL_MAX + 1, STEP), dtype=np.int32)
        self.tree = np.zeros((NODES_MAX, NODE), dtype=np.int32)
        self.proved = np.zeros(LAYOUTS_MAX, dtype=np.int32)
        self.catalog: DoorCatalog | None = None
        self.books: dict[str, LayoutBook] = {}

    def book_of(self, merchant_id: str, catalog: DoorCatalog | None) -> LayoutBook:
        """A merchant's layouts, which hold as long as the catalog does."""
        if catalog is not self.catalog or len(self.books) > MERCHANTS_MAX:
            self.catalog, self.books = catalog, {}
        return self.books.setdefault(merchant_id, LayoutBook())

    def judge(self, body: bytes, layout: Layout, rules: Rules, catalog: DoorCatalog | None) -> Verdict | None:
        """The verdict on a body, or ``None`` when the slow lane has to judge it. Raises ``Refused`` as that would."""
        reading = self.begin(body, layout, rules, catalog)
        while not reading.ended:
            self.read_on(reading)
        return reading.verdict

    async def judge_in_turns(
        self, body: bytes, layout: Layout, rules: Rules, catalog: DoorCatalog | None
    ) -> Verdict | None:
        """``judge``, giving way to others after each slice."""
        reading = self.begin(body, layout, rules, catalog)
        self.read_on(reading)
        while not reading.ended:
            await asyncio.sleep(0)
            self.read_on(reading)
        return reading.verdict

    def begin(self, body: bytes, layout: Layout, rules: Rules, catalog: DoorCatalog | None) -> Reading:
        """Make a body ready for the kernel; raises ``Refused``."""
        if may_lack_room(body):
            check_room(body)
        days = BACKFILL_YEARS_MAX * 366 if rules.backfill else EVENT_AGE_DAYS_MAX
        oldest_us = rules.received_us - days * DAY_US
        newest_us = rules.received_us + EVENT_AHEAD_SECONDS_MAX * 1_000_000
        merchant = rules.merchant_id.encode()
        bounds = (
            layout == "lines",
            rules.cloud_only,
            oldest_us,
            newest_us,
            rules.received_us,
            len(body),
            len(body) + SLACK_BYTES,
            len(merchant),
        )
        book = self.book_of(rules.merchant_id, catalog)
        return Reading(body, pad(body, merchant), np.array(bounds, np.int64), rules, book)

    def read_on(self, reading: Reading) -> None:
        """Judge the next slice."""
        state = reading.state
        first, state[ROW], state[USED_CELLS] = int(state[EVENTS]), 0, 0
        code = self.scan(reading)
        if code == DECLINED:
            reading.verdict, reading.ended = None, True
            return
        if state[ROW] and not self.note(reading, first):
            reading.verdict, reading.ended = None, True
            return
        reading.ended = code != FULL

    def scan(self, reading: Reading) -> int:
        """Let the kernel run, planning layouts that it does not know; says why it stopped."""
        data, state, book = bytes_of(reading.data), reading.state, reading.book
        # What was learned points into the body before this one.
        self.tree[0] = 0
        self.proved[:] = 0
        while True:
            code = scan(
                data, state, reading.bounds, book.slots, book.layouts, book.texts, book.places,
                self.marks, self.cells, self.instants, self.hashes,
                self.text, self.minute, self.trail, self.tree, self.proved,
            )  # fmt: skip
            if code != LAYOUT_UNKNOWN:
                return code
            if not self.plan(reading):
                return DECLINED

    def plan(self, reading: Reading) -> bool:
        """Enter the layout of the event at which the kernel stopped."""
        body, state, rules = reading.body, reading.state, reading.rules
        mark = self.marks[state[ROW]].tolist()
        cells = self.cells[mark[FIRST_CELL] : mark[FIRST_CELL] + mark[CELLS]].tolist()
        event_type = body[mark[TYPE] : mark[TYPE] + mark[TYPE + 1]].decode()
        names = tuple(body[cell[NAME] : cell[NAME] + cell[NAME + 1]].decode() for cell in cells)
        return reading.book.add(int(state[SLOT]), event_type, names, rules.needs.get(event_type, NO_NEEDS))

    def note(self, reading: Reading, first: int) -> bool:
        """Add a slice to the verdict, whose first event has the number ``first``; False when it cannot be said here."""
        verdict, body, count = reading.verdict, reading.body, int(reading.state[ROW])
        assert verdict, "it was not declined"
        odd = self.marks[:count, ODD] != 0
        if not odd.any():
            verdict.sheets.append(self.copy(reading))
            return True
        places = np.flatnonzero(odd)
        shapes = [decode(body[self.marks[place, START] : self.marks[place, END]]) for place in places]
        if None in shapes:
            return False
        good = np.flatnonzero(~odd)
        sheet = self.copy(reading)
        sheet = replace(
            sheet, marks=sheet.marks[good], instants=sheet.instants[good], hashes=sheet.hashes[good], stop=len(good)
        )
        splice(verdict, sheet, list(zip(places.tolist(), shapes, strict=True)), first, reading.rules)
        return True

    def copy(self, reading: Reading) -> Sheet:
        """What was found, out of the room that the next slice will use."""
        events, cells = int(reading.state[ROW]), int(reading.state[USED_CELLS])
        return Sheet(
            data=reading.data,
            merchant=len(reading.body) + SLACK_BYTES,
            merchant_size=len(reading.rules.merchant_id.encode()),
            received_us=reading.rules.received_us,
            marks=self.marks[:events].copy(),
            cells=self.cells[:cells].copy(),
            instants=self.instants[:events].copy(),
            hashes=self.hashes[:events].copy(),
            start=0,
            stop=events,
        )

    def write(self, gathered: Sequence[Accepted], partitions: int) -> list[tuple[int, bytes]]:
        """Messages of events from both lanes, in the order in which they came."""
        sheets = [part if isinstance(part, Sheet) else sheet_of_rows(part) for part in gathered if len(part)]
        return write_messages(sheets, partitions, self.template)


def may_lack_room(body: bytes) -> bool:
    """Whether ``check_room`` has to look, which counts several times more slowly, and would hold up others."""
    if len(body) * BYTES_PER_CONTAINER <= OBJECTS_BYTES_MAX:
        return False
    data = np.frombuffer(body, dtype=np.uint8)
    marks = sum(int(np.count_nonzero(data == mark)) for mark in b",[{")
    return marks * BYTES_PER_CONTAINER > OBJECTS_BYTES_MAX


def decode(raw: bytes) -> Shape | None:
    """One event as the slow lane reads it, unless it has something to say about the body as a whole."""
    try:
        return ONE.decode(raw)
    except (*FAULTS, msgspec.ValidationError):
        return None


def splice(verdict: Verdict, sheet: Sheet, odd: list[tuple[int, Shape | None]], first: int, rules: Rules) -> None:
    """Good events of a slice and odd ones, these by their place in it, into one verdict."""
    done = 0
    rules = replace(rules, plain_ascii=False)
    for count, (place, shape) in enumerate(odd):
        assert shape, "those that could not be decoded were given to the slow lane"
        judge([shape], first + place, rules, verdict)
        if not verdict.rows:
            # Most odd events are refused, and leave no gap: one sheet costs less than two.
            continue
        if place - count > done:
            verdict.sheets.append(sheet.cut(done, place - count))
            done = place - count
        verdict.sheets += verdict.rows
        verdict.rows.clear()
    if len(sheet) > done:
        verdict.sheets.append(sheet.cut(done, len(sheet)))
