"""Events as the bytes of their JSON: rows of one width, filled column by column, so that no event is an object."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import numpy as np
import numpy.typing as npt

from runtime.traffic.draws import Ints, split
from runtime.traffic.events import MICRO, USERS, Facts, Identity, Kind
from runtime.traffic.meters import REGIONS, UNKNOWN_TYPE, types_of
from runtime.traffic.plan import EPOCH, TrafficPlan

# Texts of one width, as numpy strings or, where the width allows, as integers of the same bytes.
Texts = npt.NDArray[Any]

SOURCES = ("/sim/eu-west-1", "/sim/us-east-1", "/sim/us-west-2", "/sim/ap-east-1")
MODELS = ("small-1", "small-2", "medium-1", "medium-2", "large-1", "large-2", "vision-1", "code-1")
TYPE_WIDTH = 2 + max(len(UNKNOWN_TYPE), *(len(kind.code) for kind in types_of(20)))
MODEL_WIDTH = 2 + max(map(len, MODELS))
INTEGER_WIDTHS = (2, 4, 8)
BLANK = 1_000

# Fields stand in pairs with their width. Spaces that fill a field up stand outside quotes, where JSON allows them.
PATTERN: tuple[bytes | tuple[str, int], ...] = (
    b'{"specversion":"1.0","id":"',
    ("seed", 8),
    b"-",
    ("id_a", 4),
    ("id_b", 4),
    ("id_c", 4),
    b'","source":"',
    ("source", 14),
    b'","type":',
    ("type", TYPE_WIDTH),
    b',"subject":"',
    ("customer_mark", 1),
    b"-",
    ("customer_a", 2),
    ("customer_b", 4),
    b'","time":"',
    ("day", 10),
    b"T",
    ("clock", 8),
    b".",
    ("micro_a", 2),
    ("micro_b", 4),
    b'Z","data":{"value":',
    ("whole", 5),
    ("fraction_a", 4),
    ("fraction_b", 3),
    b',"user":"u-',
    ("user", 4),
    b'","model":',
    ("model", MODEL_WIDTH),
    b',"region":"',
    ("region", 2),
    b'"}},',
)


def _layout() -> tuple[np.dtype[np.void], bytes]:
    """The record type of a row, and a row with blanks for its fields."""
    names: list[str] = []
    formats: list[str] = []
    offsets: list[int] = []
    template = b""
    for part in PATTERN:
        if isinstance(part, bytes):
            template += part
            continue
        name, width = part
        names.append(name)
        # Short texts travel as integers, which numpy copies several times faster than strings.
        formats.append(f"<u{width}" if width in INTEGER_WIDTHS else f"S{width}")
        offsets.append(len(template))
        template += b" " * width
    layout = {"names": names, "formats": formats, "offsets": offsets, "itemsize": len(template)}
    return np.dtype(layout), template  # type: ignore[call-overload]


ROW, TEMPLATE = _layout()
EVENT_BYTES = ROW.itemsize - 1


def _table(texts: Iterable[str]) -> Texts:
    table = np.array([text.encode() for text in texts])
    width = table.dtype.itemsize
    return table.view(f"<u{width}") if width in INTEGER_WIDTHS else table


def _numbers(count: int, write: Callable[[int], str]) -> Texts:
    return _table(map(write, range(count)))


def _quoted(words: Iterable[str], width: int) -> Texts:
    return _table(f'"{word}"'.ljust(width) for word in words)


@dataclass(frozen=True, slots=True)
class Writer:
    """Turns events of a plan into rows. Its tables hold the text of every short number, made once."""

    plan: TrafficPlan
    two: Texts
    three: Texts
    four: Texts
    clocks: Texts
    wholes: Texts
    dotted: Texts
    types: Texts
    models: Texts
    sources: Texts
    regions: Texts
    places: Ints
    blank: npt.NDArray[np.void]

    def write(self, out: npt.NDArray[np.void], identity: Identity, facts: Facts) -> None:
        """Fill ``out`` with one row an event: its JSON object followed by a comma."""
        out.view(np.uint8).reshape(len(out), ROW.itemsize)[:] = self.blank.view(np.uint8)
        self._write_identity(out, identity.roots, facts)
        self._write_times(out, facts.times_us)
        self._write_values(out, facts)
        _spoil(out, identity.kinds)

    def _write_identity(self, out: npt.NDArray[np.void], roots: Ints, facts: Facts) -> None:
        high, low = split(roots, 10_000)
        out["id_c"] = self.four[low]
        high, low = split(high, 10_000)
        out["id_a"] = self.four[high]
        out["id_b"] = self.four[low]
        out["source"] = self.sources[facts.sources]
        out["type"] = self.types[facts.types]
        high, low = split(facts.customers, 10_000)
        out["customer_a"] = self.two[high]
        out["customer_b"] = self.four[low]

    def _write_times(self, out: npt.NDArray[np.void], times_us: Ints) -> None:
        seconds, micros = split(times_us, MICRO)
        days, clock = split(seconds, 86_400)
        first = int(days.min())
        names = [(EPOCH + timedelta(days=day)).date().isoformat().encode() for day in range(first, int(days.max()) + 1)]
        out["day"] = np.array(names)[days - first]
        out["clock"] = self.clocks[clock]
        high, low = split(micros, 10_000)
        out["micro_a"] = self.two[high]
        out["micro_b"] = self.four[low]

    def _write_values(self, out: npt.NDArray[np.void], facts: Facts) -> None:
        whole, fraction = split(facts.values, MICRO)
        high, low = split(fraction, 1_000)
        places = self.places[facts.types]
        out["whole"] = self.wholes[whole]
        out["fraction_a"] = self.dotted[np.where(places >= 3, high, BLANK)]
        out["fraction_b"] = self.three[np.where(places == 6, low, BLANK)]
        out["user"] = self.four[facts.users]
        out["model"] = self.models[facts.models]
        out["region"] = self.regions[facts.regions]


def make_writer(plan: TrafficPlan) -> Writer:
    """Make the text tables for a plan."""
    kinds = types_of(plan.meters)
    blank = np.frombuffer(bytearray(TEMPLATE), dtype=ROW)
    blank["seed"] = _table([plan.source])
    blank["customer_mark"] = b"c"
    return Writer(
        plan=plan,
        two=_numbers(100, "{:02d}".format),
        three=_table([*(f"{number:03d}" for number in range(1_000)), "   "]),
        four=_numbers(10_000, "{:04d}".format),
        clocks=_numbers(86_400, lambda s: f"{s // 3600:02d}:{s // 60 % 60:02d}:{s % 60:02d}"),
        wholes=_numbers(20_000, "{:5d}".format),
        dotted=_table([*(f".{number:03d}" for number in range(1_000)), "    "]),
        types=_quoted((kind.code for kind in kinds), TYPE_WIDTH),
        models=_quoted(MODELS, MODEL_WIDTH),
        sources=_table(SOURCES),
        regions=_table(REGIONS),
        places=np.array([kind.places for kind in kinds], dtype=np.int64),
        blank=blank,
    )


def empty_rows(count: int) -> npt.NDArray[np.void]:
    """Room for ``count`` rows, to be written again and again: a few thousand stay in the processor's cache."""
    return np.empty(count, dtype=ROW)


def _spoil(out: npt.NDArray[np.void], kinds: npt.NDArray[np.uint8]) -> None:
    """Write over the fields that make an event unknown or invalid."""
    unknown_type = f'"{UNKNOWN_TYPE}"'.ljust(TYPE_WIDTH).encode()
    if not (kinds >= Kind.UNKNOWN_CUSTOMER).any():
        return
    for kind, field, text in (
        (Kind.UNKNOWN_CUSTOMER, "customer_mark", b"x"),
        (Kind.UNKNOWN_TYPE, "type", unknown_type),
        (Kind.BAD_TIME, "day", b"2023-13-45"),
        (Kind.NO_TYPE, "type", b'""'.ljust(TYPE_WIDTH)),
        (Kind.NOT_NUMERIC, "whole", b'"n/a"'),
        (Kind.NOT_NUMERIC, "fraction_a", int.from_bytes(b"    ", "little")),
        (Kind.NOT_NUMERIC, "fraction_b", b"   "),
    ):
        out[field][kinds == kind] = text
    nameless = np.flatnonzero(kinds == Kind.NO_SUBJECT)
    if len(nameless):
        flat = out.view(np.uint8).reshape(len(out), ROW.itemsize)
        start = TEMPLATE.index(b'"subject"')
        flat[nameless, start : start + 9] = np.frombuffer(b'"subjekt"', dtype=np.uint8)


assert USERS <= 10_000, "a user's number has four digits"
