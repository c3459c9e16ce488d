"""How long an event takes from happening to being seen: single events, looked for in the view until they are there."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from benchmarks.scene import PROBE, Scene
from catalog.merchants import find_merchant
from clickhouse.client import UsageStore, open_usage_store
from core.db import transaction

SEND_EVERY_S = 0.1
LOOK_EVERY_S = 0.1
SEEN_WITHIN_S = 30.0
VISIBLE = """
    SELECT dimensions['probe'] AS probe FROM usage_by_group
    WHERE merchant_id = {merchant:String} AND startsWith(dimensions['probe'], {run:String})
"""


@dataclass(slots=True)
class Probe:
    """Probes sent, when each occurred, and how long each took to show."""

    run: str
    sent: int = 0
    open: dict[str, float] = field(default_factory=dict)
    waits_s: list[float] = field(default_factory=list)
    failure: BaseException | None = None


Work = Callable[[Scene, Probe, threading.Event], None]


@contextmanager
def probing(scene: Scene) -> Iterator[Probe]:
    """Send and look while the block runs; afterwards look on until all are seen. Raises ``TimeoutError``."""
    probe, done = Probe(f"p-{uuid4().hex[:12]}-"), threading.Event()
    threads = [threading.Thread(target=guarded, args=(work, scene, probe, done), daemon=True) for work in (send, look)]
    for thread in threads:
        thread.start()
    try:
        yield probe
    finally:
        done.set()
        for thread in threads:
            thread.join(SEEN_WITHIN_S * 2)
    if probe.failure is not None:
        raise probe.failure


def guarded(work: Work, scene: Scene, probe: Probe, done: threading.Event) -> None:
    """A thread's failure is told to whoever waits for it."""
    try:
        work(scene, probe, done)
    except Exception as error:  # noqa: BLE001 - raised again by ``probing``
        probe.failure = error


def send(scene: Scene, probe: Probe, done: threading.Event) -> None:
    """One event now and then, each with a name of its own."""
    parts = urlsplit(scene.parts.gateway_url)
    assert parts.hostname, "a gateway's address"
    connection = HTTPConnection(parts.hostname, parts.port, timeout=30)
    headers = {"Authorization": f"Bearer {scene.probe_key}", "Content-Type": "application/json"}
    while not done.wait(SEND_EVERY_S):
        name, now = f"{probe.run}{probe.sent}", scene.clock.now()
        event = {"id": name, "type": "probe", "subject": "c-1", "time": now.isoformat(), "properties": {"probe": name}}
        probe.open[name] = scene.clock.steady_s()
        connection.request("POST", "/v1/events", orjson.dumps([event]), headers)
        answer = connection.getresponse()
        body = answer.read()
        if answer.status != 202:
            raise RuntimeError(f"a probe was answered with {answer.status}: {body[:200]!r}")
        probe.sent += 1
    connection.close()


def look(scene: Scene, probe: Probe, done: threading.Event) -> None:
    """Look until everything that was sent is seen."""
    store = open_usage_store(scene.stack.endpoints.clickhouse_url)
    merchant_id, pause, give_up_s = merchant_of_probe(scene), threading.Event(), 0.0
    try:
        while probe.open or not done.is_set():
            see(store, scene, probe, merchant_id)
            if done.is_set():
                give_up_s = give_up_s or scene.clock.steady_s() + SEEN_WITHIN_S
                if scene.clock.steady_s() > give_up_s:
                    raise TimeoutError(f"{len(probe.open)} probes were not seen within {SEEN_WITHIN_S:g} s")
            pause.wait(LOOK_EVERY_S)
    finally:
        store.close()


def see(store: UsageStore, scene: Scene, probe: Probe, merchant_id: str) -> None:
    """Take note of the probes that the view shows now."""
    frame = store.query_frame(VISIBLE, {"merchant": merchant_id, "run": probe.run})
    now_s = scene.clock.steady_s()
    for name in frame["probe"].to_list():
        occurred_s = probe.open.pop(name, None)
        if occurred_s is not None:
            probe.waits_s.append(now_s - occurred_s)


def merchant_of_probe(scene: Scene) -> str:
    """The probe's merchant by its id."""
    with transaction(scene.parts.books) as connection:
        return str(find_merchant(connection, PROBE))
