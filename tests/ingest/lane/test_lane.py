"""Both lanes say and keep the same, whatever the body."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from itertools import count
from pathlib import Path
from typing import Any

import orjson
import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from core.errors import Refused
from ingest import validate
from ingest.columns import build_batch, join_keys, split_by_partition
from ingest.decode import Layout, decode_events
from ingest.lane.lane import FastLane
from ingest.needs import DoorCatalog, Needs, build_catalog
from ingest.texts import is_plain_ascii
from ingest.validate import Rules, judge
from ingest.verdict import Verdict

# In Python, numpy tells of each 64-bit product that wraps, as all of a hash's do.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

ROOT = Path(__file__).parents[3]
NOON = 1_700_481_600_000_000
CATALOG: DoorCatalog = build_catalog(1, {("mer_1", "t"): ("n",)}, {("mer_1", "t"): ("o",), ("mer_1", "u"): ("n",)})
NEEDS: Mapping[str, Needs] = CATALOG.of("mer_1")
PARTITIONS = 3


@cache
def lane() -> FastLane:
    """One for all, as in a process."""
    return FastLane()


def rules_of(*, cloud_only: bool = False, backfill: bool = False) -> Rules:
    """Rules of a request received at noon."""
    return Rules("mer_1", NOON, NEEDS, backfill=backfill, cloud_only=cloud_only)


def judge_slowly(body: bytes, layout: Layout, rules: Rules) -> Verdict:
    """What the rules say."""
    verdict = Verdict()
    judge(decode_events(body, layout), 0, replace(rules, plain_ascii=is_plain_ascii(body)), verdict)
    verdict.rejections.sort(key=lambda one: one.index)
    return verdict


def batches_of(verdict: Verdict) -> list[tuple[int, pa.RecordBatch]]:
    """What the slow lane would put into the log."""
    if not verdict.rows:
        return []
    return split_by_partition(build_batch(verdict.rows), join_keys(verdict.rows), PARTITIONS)


def compare(body: bytes, layout: Layout = "document", **options: bool) -> bool:
    """Judge a body in both lanes and compare all that follows; returns whether the fast lane took it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(validate, "new_id", counted_ids())
        try:
            slow: Verdict | None = judge_slowly(body, layout, rules_of(**options))
            refused = ""
        except Refused as error:
            slow, refused = None, error.code
        patch.setattr(validate, "new_id", counted_ids())
        if refused == "too_many_values":
            with pytest.raises(Refused):
                lane().judge(body, layout, rules_of(**options), CATALOG)
            return True
        fast = lane().judge(body, layout, rules_of(**options), CATALOG)
    if fast is None:
        return False
    assert slow is not None, "the fast lane took what is refused as a whole"
    assert fast.body() == slow.body()
    written = lane().write(fast.kept, PARTITIONS) if fast.kept else []
    batches = batches_of(slow)
    assert [partition for partition, _value in written] == [partition for partition, _batch in batches]
    for (_partition, value), (_same, batch) in zip(written, batches, strict=True):
        found = pa.ipc.open_stream(value).read_next_batch()
        found.validate(full=True)
        assert found.equals(batch)
        assert value == stream_of(found)
    keys = [key for part in fast.kept for key in part.keys]
    assert keys == [key for rows in slow.rows for key in rows.keys]
    return True


def counted_ids() -> Any:
    """Ids that are the same in both lanes."""
    numbers = count()
    return lambda prefix: f"{prefix}_{next(numbers)}"


def stream_of(batch: pa.RecordBatch) -> bytes:
    """The bytes that Arrow writes for columns of their own."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(
            pa.Table.from_batches([batch]).take(list(range(len(batch)))).combine_chunks().to_batches()[0]
        )
    whole: bytes = sink.getvalue().to_pybytes()
    return whole


def cloud(**changes: object) -> dict[str, object]:
    """A plain CloudEvent."""
    event = {
        "specversion": "1.0",
        "id": "a",
        "source": "s",
        "type": "t",
        "subject": "c",
        "time": "2023-11-20T11:00:00Z",
    }
    return {**event, "data": {"n": 1.5, "user": "u", "b": True}, **changes}


def plain(**changes: object) -> dict[str, object]:
    """A plain event of the plain form."""
    return {"id": "a", "type": "u", "subject": "c", "properties": {"z": "1", "n": "2.50", "a": "x"}, **changes}


@pytest.mark.parametrize(
    "events",
    [
        [cloud()],
        [cloud(id=f"e{i}", subject="x" * (1 + i % 256)) for i in range(600)],
        [plain(id=f"e{i}") for i in range(40)],
        [plain(), cloud(), plain(id="b", properties={}), cloud(id="d", data={"n": "7"}, datacontenttype="a/b")],
        [plain(), plain(id="é"), plain(id="c"), plain(id=None), plain(id="e", properties={"a": [1], "b": {"c": None}})],
        [plain(properties={f"p{i}": i for i in range(64)}), plain(properties={f"p{i}": i for i in range(65)})],
        [plain(properties={"long": "x" * 4096}), plain(properties={"long": "x" * 4097})],
        [cloud(id="i" * 256, source="s" * 256), cloud(id="i" * 257), cloud(type="t" * 200, source="s" * 30)],
    ],
)
def test_plain_requests_are_taken_and_come_out_the_same(events: list[dict[str, object]]) -> None:
    """Odd events among them are judged by the rules, in their place."""
    assert compare(orjson.dumps(events))
    assert compare(b"\r\n".join(map(orjson.dumps, events)), "lines")
    compare(orjson.dumps(events), cloud_only=True)
    assert compare(orjson.dumps(events[0]))


@pytest.mark.parametrize(
    "value",
    "0 -0 0.0 -0.0 1.50 1.000 -1.5 -0.10 1e3 1E3 1.5e-3 01 1. .5 - 123456789012345678 1234567890123456789 "
    "12345678901234567890 0.123456789012 0.1234567890123 0.1234567890120 true false null [] {} [1] "
    '"" "0" "-0" "00" "1.50" "1e3" " 1" "1_0" "NaN" "12345678901234567890" NaN 1.2.3 --1 +1'.split(),
)
def test_numbers_in_every_spelling(value: str) -> None:
    """Metered and not, as number and as text."""
    for event_type in "tuv":
        for name in "nop":
            body = f'[{{"id":"a","type":"{event_type}","subject":"s","properties":{{"n":1,"{name}":{value}}}}}]'
            compare(body.encode())
            compare(body.replace('"n":1,', "").encode())


@pytest.mark.parametrize(
    "time",
    "2023-11-20T11:00:00Z 2023-11-20T11:00:00.5Z 2023-11-20T11:00:00.123456Z 2023-11-20T11:00:00.123456789Z "
    "2023-11-20T11:00:00.1234567891Z 2023-11-20T11:00:00+00:00 2023-11-20T11:00:00.25-05:30 2023-11-20T11:00:00+24:00 "
    "2023-11-20T24:00:00Z 2023-11-20T11:60:00Z 2023-11-20T11:00:60Z 2023-02-29T11:00:00Z 2024-02-29T11:00:00Z "
    "2023-11-31T11:00:00Z 2023-11-00T11:00:00Z 2023-00-10T11:00:00Z 2023-10-16T12:00:00Z 2023-10-16T11:59:59.999999Z "
    "2023-11-20T12:05:00Z 2023-11-20T12:05:00.000001Z 2023-11-20T11:00:00 2023-11-20T11:00Z 2023-11-20t11:00:00z "
    "1700478000 1700478000.5 2023-11-20T11:00:00.Z 2023-11-20T11:00:00+0000 2003-11-25T11:00:00Z 1969-12-31T11:00:00Z "
    "2100-02-29T11:00:00Z 2000-02-29T11:00:00Z x".split(),
)
def test_times_in_every_spelling(time: str) -> None:
    """One alone, which is read as one, and ten, which are read as a column."""
    for size in (1, 10):
        for backfill in (False, True):
            compare(orjson.dumps([plain(id=str(i), time=time) for i in range(size)]), backfill=backfill)


SPACE = st.sampled_from(["", "", "", " ", "\n", "\t ", "\r\n"])
NAMES = st.sampled_from(["n", "o", "a", "b", "user", "", "é", "n\\u0061", "x" * 128, "x" * 129])
TEXTS = st.sampled_from(
    ['"x"', '"1.50"', '"007"', '"é"', '"\\n"', '"\\ud800"', '""', '"a\\"b}"', "1", "1.250", "-0", "3e2"]
)
VALUES = st.one_of(
    TEXTS, st.sampled_from(["true", "false", "null", "[1,{}]", '{"c":1}', "12345678901234567890", "nul"])
)
FIELD_VALUES = st.one_of(st.sampled_from(['"t"', '"u"', '"a"', '"1.0"', '"2023-11-20T11:00:00Z"', '"é"']), VALUES)
OTHER_NAMES = st.sampled_from(
    "id source type subject time specversion data properties amount sku_id customer_id ext data_base64 i\\u0064".split()
)


@st.composite
def objects(draw: st.DrawFn) -> str:
    """An event's text: mostly good, with fields in any order, left out, repeated or unknown, and odd spacing."""
    pairs = draw(st.lists(st.tuples(NAMES, VALUES), max_size=4))
    data = "{" + ",".join(f'{draw(SPACE)}"{name}"{draw(SPACE)}:{value}' for name, value in pairs) + draw(SPACE) + "}"
    good = draw(
        st.sampled_from(
            [
                {"specversion": '"1.0"', "id": '"a"', "source": '"s"', "type": '"t"', "subject": '"c"', "data": data},
                {"id": f'"{draw(st.integers(0, 5))}"', "type": '"u"', "subject": '"c"', "properties": data},
                {"id": '"b"', "type": '"v"', "subject": '"c"', "time": '"2023-11-20T11:00:00.5Z"', "properties": data},
            ]
        )
    )
    fields = list(good.items())
    if draw(st.integers(0, 3)) == 0:
        fields += draw(st.lists(st.tuples(OTHER_NAMES, FIELD_VALUES), max_size=2))
    if draw(st.integers(0, 3)) == 0:
        fields = draw(st.permutations(fields))[draw(st.integers(0, 1)) :]
    return "{" + ",".join(f'{draw(SPACE)}"{n}"{draw(SPACE)}:{draw(SPACE)}{v}' for n, v in fields) + draw(SPACE) + "}"


@st.composite
def bodies(draw: st.DrawFn) -> tuple[bytes, Layout]:
    """A body of some events, perhaps with a byte changed, put in or taken out, or cut short."""
    events = draw(st.lists(objects(), min_size=1, max_size=6))
    layout: Layout = draw(st.sampled_from(["document", "document", "lines"]))
    ends = st.sampled_from(["\n", "\r\n", " \n", "\n\n"])
    if layout == "lines":
        text = "".join(event.replace("\n", " ") + draw(ends) for event in events).encode()
    else:
        text = (draw(SPACE) + "[" + ",".join(events) + draw(SPACE) + "]" + draw(SPACE)).encode()
    if draw(st.integers(0, 2)) == 0:
        at = draw(st.integers(0, len(text)))
        put = draw(st.sampled_from([b"", b",", b"{", b"}", b"]", b'"', b"\\", b"\xff", b"\0", b"1", b":", b"\n", b" "]))
        text = text[:at] + put + text[at + draw(st.integers(0, 2)) :]
    if draw(st.integers(0, 5)) == 0:
        text = text[: draw(st.integers(0, len(text)))]
    return text, layout


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(bodies(), st.booleans())
def test_any_body_is_judged_alike(body: tuple[bytes, Layout], cloud_only: bool) -> None:
    """Taken or left, nobody can tell which lane it was."""
    text, layout = body

    compare(text, layout, cloud_only=cloud_only)


def test_kernels_stay_within_their_arrays() -> None:
    """The same tests in Python, where an index beyond its array is an error."""
    if os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("this is that run")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:]
