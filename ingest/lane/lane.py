"""The fast lane from a body to sheets, with odd events judged by the rules themselves, and from sheets to messages."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import msgspec
import numpy as np

from core.limits import BACKFILL_YEARS_MAX, EVENT_AGE_DAYS_MAX, EVENT_AHEAD_SECONDS_MAX, EVENTS_PER_REQUEST_MAX
from ingest.decode import FAULTS, ONE, Layout, check_room
from ingest.lane.book import LayoutBook
from ingest.lane.digest import HASHES, TEXT_BYTES_MAX
from ingest.lane.message import write_messages
from ingest.lane.read import CELL, CELLS, END, FIRST_CELL, MARKS, NAME, ODD, START, TYPE
from ingest.lane.scan import DECLINED, DONE, EVENTS, ODDS, SLOT, STATE, USED_CELLS, scan
from ingest.lane.sheet import Sheet, sheet_of_rows
from ingest.lane.template import make_template
from ingest.needs import NO_NEEDS, DoorCatalog
from ingest.rows import Accepted
from ingest.shape import Shape
from ingest.validate import DAY_US, Rules, judge
from ingest.verdict import Verdict

CELLS_MAX = 160_000
MERCHANTS_MAX = 2_000


@dataclass(frozen=True, slots=True, eq=False)
class Found:
    """A scanned body: how far the kernel came in the room of the lane."""

    events: int
    cells: int
    odds: int


class FastLane:
    """Judges the plainest bodies. Its room is used anew for each, so everything here runs on one thread."""

    def __init__(self) -> None:
        self.template = make_template()
        self.marks = np.zeros((EVENTS_PER_REQUEST_MAX, MARKS), dtype=np.int32)
        self.cells = np.zeros((CELLS_MAX, CELL), dtype=np.int32)
        self.instants = np.zeros(EVENTS_PER_REQUEST_MAX, dtype=np.int64)
        self.hashes = np.zeros((EVENTS_PER_REQUEST_MAX, HASHES), dtype=np.uint64)
        self.words = np.zeros(TEXT_BYTES_MAX // 8 + 8, dtype=np.uint64)
        self.text = self.words.view(np.uint8)
        self.catalog: DoorCatalog | None = None
        self.books: dict[str, LayoutBook] = {}

    def book_of(self, merchant_id: str, catalog: DoorCatalog | None) -> LayoutBook:
        """A merchant's layouts, which hold as long as the catalog does."""
        if catalog is not self.catalog or len(self.books) > MERCHANTS_MAX:
            self.catalog, self.books = catalog, {}
        return self.books.setdefault(merchant_id, LayoutBook())

    def judge(self, body: bytes, layout: Layout, rules: Rules, catalog: DoorCatalog | None) -> Verdict | None:
        """The verdict on a body, or ``None`` when the slow lane has to judge it. Raises ``Refused`` as that would."""
        check_room(body)
        found = self.scan(body, layout, rules, catalog)
        if found is None:
            return None
        sheet = self.copy(body, rules, found)
        if not found.odds:
            return Verdict(sheets=[sheet])
        odd = self.marks[: found.events, ODD] != 0
        places = np.flatnonzero(odd)
        shapes = [decode(body[self.marks[place, START] : self.marks[place, END]]) for place in places]
        if None in shapes:
            return None
        good = np.flatnonzero(~odd)
        whole = replace(
            sheet,
            marks=sheet.marks[good],
            instants=sheet.instants[good],
            hashes=sheet.hashes[good],
            stop=len(good),
        )
        return splice(whole, list(zip(places.tolist(), shapes, strict=True)), replace(rules, plain_ascii=False))

    def scan(self, body: bytes, layout: Layout, rules: Rules, catalog: DoorCatalog | None) -> Found | None:
        """Let the kernel run, planning layouts that it does not know."""
        data = np.frombuffer(body, dtype=np.uint8)
        state = np.zeros(STATE, dtype=np.int64)
        days = BACKFILL_YEARS_MAX * 366 if rules.backfill else EVENT_AGE_DAYS_MAX
        oldest_us = rules.received_us - days * DAY_US
        newest_us = rules.received_us + EVENT_AHEAD_SECONDS_MAX * 1_000_000
        bounds = np.array([layout == "lines", rules.cloud_only, oldest_us, newest_us, rules.received_us], np.int64)
        merchant = np.frombuffer(rules.merchant_id.encode(), dtype=np.uint8)
        book = self.book_of(rules.merchant_id, catalog)
        while True:
            code = scan(
                data, state, bounds, merchant, book.slots, book.layouts, book.texts, book.places,
                self.marks, self.cells, self.instants, self.hashes, self.text, self.words,
            )  # fmt: skip
            if code == DONE:
                return Found(int(state[EVENTS]), int(state[USED_CELLS]), int(state[ODDS]))
            if code == DECLINED or not self.plan(body, int(state[EVENTS]), int(state[SLOT]), book, rules):
                return None

    def plan(self, body: bytes, event: int, slot: int, book: LayoutBook, rules: Rules) -> bool:
        """Enter the layout of the event at which the kernel stopped."""
        mark = self.marks[event].tolist()
        cells = self.cells[mark[FIRST_CELL] : mark[FIRST_CELL] + mark[CELLS]].tolist()
        event_type = body[mark[TYPE] : mark[TYPE] + mark[TYPE + 1]].decode()
        names = tuple(body[cell[NAME] : cell[NAME] + cell[NAME + 1]].decode() for cell in cells)
        return book.add(slot, event_type, names, rules.needs.get(event_type, NO_NEEDS))

    def copy(self, body: bytes, rules: Rules, found: Found) -> Sheet:
        """What was found, out of the room that the next body will use."""
        return Sheet(
            data=body,
            merchant=rules.merchant_id.encode(),
            received_us=rules.received_us,
            marks=self.marks[: found.events].copy(),
            cells=self.cells[: found.cells].copy(),
            instants=self.instants[: found.events].copy(),
            hashes=self.hashes[: found.events].copy(),
            start=0,
            stop=found.events,
        )

    def write(self, gathered: Sequence[Accepted], partitions: int) -> list[tuple[int, bytes]]:
        """Messages of events from both lanes, in the order in which they came."""
        sheets = [part if isinstance(part, Sheet) else sheet_of_rows(part) for part in gathered if len(part)]
        return write_messages(sheets, partitions, self.template)


def decode(raw: bytes) -> Shape | None:
    """One event as the slow lane reads it, unless it has something to say about the body as a whole."""
    try:
        return ONE.decode(raw)
    except (*FAULTS, msgspec.ValidationError):
        return None


def splice(sheet: Sheet, odd: list[tuple[int, Shape | None]], rules: Rules) -> Verdict:
    """Good events and odd ones, these by their place in the request, in one verdict."""
    verdict = Verdict()
    done = 0
    for count, (place, shape) in enumerate(odd):
        if place - count > done:
            verdict.sheets.append(sheet.cut(done, place - count))
            done = place - count
        assert shape, "those that could not be decoded were given to the slow lane"
        judge([shape], place, rules, verdict)
        verdict.sheets += verdict.rows
        verdict.rows.clear()
    if len(sheet) > done:
        verdict.sheets.append(sheet.cut(done, len(sheet)))
    return verdict
