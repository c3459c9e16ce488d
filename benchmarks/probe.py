"""How long an event takes from happening to being seen: single events, looked for in their customer's usage.

It is asked for as the API asks for it, by group. The view for analysts shows the same rows, but planning a question to
it costs the engine fifty milliseconds of CPU on busy cores, so that ten looks a second were a load of their own.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from urllib.parse import urlsplit
from uuid import uuid4

import orjson

from benchmarks.scene import PROBE, PROBE_CUSTOMER, Scene
from catalog.find_customers import find_customer_ids
from catalog.merchants import find_merchant
from clickhouse.client import open_usage_store
from clickhouse.report import UsageQuestion
from clickhouse.shared_usage import Owner, SharedUsage
from core.db import transaction

SEND_EVERY_S = 0.1
LOOK_EVERY_S = 0.1
SEEN_WITHIN_S = 30.0
VISIBLE = UsageQuestion(grain="total", by_group=True, distinct=False)


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
        event: dict[str, object] = {"id": name, "type": "probe", "subject": PROBE_CUSTOMER, "time": now.isoformat()}
        event |= {"properties": {"probe": name}}
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
    usage, owner, pause, give_up_s = SharedUsage(store), owner_of_probes(scene), threading.Event(), 0.0
    try:
        while probe.open or not done.is_set():
            see(usage, scene, probe, owner)
            if done.is_set():
                give_up_s = give_up_s or scene.clock.steady_s() + SEEN_WITHIN_S
                if scene.clock.steady_s() > give_up_s:
                    raise TimeoutError(f"{len(probe.open)} probes were not seen within {SEEN_WITHIN_S:g} s")
            pause.wait(LOOK_EVERY_S)
    finally:
        store.close()


def see(usage: SharedUsage, scene: Scene, probe: Probe, owner: Owner) -> None:
    """Take note of the probes that count by now."""
    rows = usage.usage_by(VISIBLE, owner)
    now_s = scene.clock.steady_s()
    for row in rows:
        occurred_s = probe.open.pop(orjson.loads(row["group_key"])["probe"], None)
        if occurred_s is not None:
            probe.waits_s.append(now_s - occurred_s)


def owner_of_probes(scene: Scene) -> Owner:
    """Whose usage the probes are."""
    with transaction(scene.parts.books) as connection:
        merchant_id = str(find_merchant(connection, PROBE))
        ids = find_customer_ids(connection, merchant_id, [PROBE_CUSTOMER])
    return Owner(merchant_id, ids[PROBE_CUSTOMER], PROBE_CUSTOMER)
