"""Both lanes say and keep the same, whatever the body."""

from __future__ import annotations

import os
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ingest.decode import Layout
from runtime.traffic.plan import plan_until
from runtime.traffic.requests import requests_of
from tests.ingest.lane.bodies import bodies, plain_bodies
from tests.ingest.lane.both import NOON, cloud, compare, plain

# In Python, numpy tells of each 64-bit product that wraps, as all of a hash's do.
pytestmark = pytest.mark.filterwarnings("ignore:overflow encountered")

ROOT = Path(__file__).parents[3]


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


@settings(max_examples=400, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(bodies(), st.booleans())
def test_any_body_is_judged_alike(body: tuple[bytes, Layout], cloud_only: bool) -> None:
    """Taken or left, nobody can tell which lane it was."""
    text, layout = body

    compare(text, layout, cloud_only=cloud_only)


@settings(max_examples=150, suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(plain_bodies(), st.booleans())
def test_events_like_the_ones_before_them_are_judged_alike(body: tuple[bytes, Layout], cloud_only: bool) -> None:
    """Few shapes and many events: most are taken apart by the trail of another."""
    text, layout = body

    compare(text, layout, cloud_only=cloud_only)


def test_plain_bodies_do_take_the_fast_lane() -> None:
    """All of the load generator's, and most of those drawn here: it cannot be shut without being noticed."""
    now = datetime.fromtimestamp(NOON // 1_000_000, UTC)
    plan = plan_until(now, seed=1, events=600, merchants=3, request_events=20)
    sent = [request.body for chunk in requests_of(plan) for request in chunk]
    drawn: list[bool] = []

    @settings(max_examples=60, suppress_health_check=[HealthCheck.too_slow], deadline=None, derandomize=True)
    @given(plain_bodies())
    def draw(body: tuple[bytes, Layout]) -> None:
        drawn.append(compare(*body))

    draw()

    assert len(sent) >= 30
    assert all(compare(body) for body in sent)
    assert 2 * sum(drawn) >= len(drawn) >= 60


def test_kernels_stay_within_their_arrays() -> None:
    """The same tests in Python, where an index beyond its array is an error."""
    if os.environ.get("NUMBA_DISABLE_JIT"):
        pytest.skip("this is that run")
    argv = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", str(Path(__file__).parent)]
    done = subprocess.run(
        argv, cwd=ROOT, env={**os.environ, "NUMBA_DISABLE_JIT": "1"}, capture_output=True, check=False
    )
    assert done.returncode == 0, done.stdout.decode()[-3000:]
