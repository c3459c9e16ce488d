"""``millrace worker``: the process that takes the log's messages into ClickHouse, exactly once."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import signal
import socket
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from time import sleep
from typing import TypeVar

from confluent_kafka.admin import AdminClient
from sqlalchemy import Engine

from catalog.version import current_version
from core.clock import Clock, SystemClock
from core.db import transaction
from core.errors import Transient
from core.logs import configure_logs, get_logger
from runtime.keep_memory import keep_memory
from runtime.log_ends import look_at_log
from runtime.settings import Settings, load_settings
from runtime.topic import describe, ensure_topic
from runtime.wiring import open_admin, open_books, open_usage_store
from streams.catalog_cache import CatalogCache
from streams.claim import Claims, LogSeen
from streams.compiled import Compiled
from streams.desk import Desk
from streams.driver import EXIT_DONE, EXIT_STOPPED, NEXT_STEP, Driver, Hooks
from streams.faust_app import DriverSettings
from streams.find_log import find_log
from streams.key_files import KeyFiles
from streams.ledger_postgres import PostgresLedger
from streams.retry import Retry, RetryPolicy
from streams.sink import Moment, Parts, no_failpoint
from streams.store import ClickHouseStore
from streams.warm_up import warm_up
from streams.watchdog import NO_ANSWER

Answer = TypeVar("Answer")

# Apache Kafka refuses less than 6 s unless told otherwise; the embedded broker answers a join after this long.
SESSION_TIMEOUT_S = 6.0
SESSION_TIMEOUT_EMBEDDED_S = 3.0
LEAVE_WITHIN_S = 8
# While one waits for a store, the other computes. More would only hold more rows in memory.
BLOCKS_AT_ONCE = 2
# A single call to ClickHouse: longer than any insert, deletion or part of the keys takes, shorter than the stall limit.
ANSWER_WITHIN_S = 120


def worker() -> None:
    """Read the log and store each of its events once, until SIGTERM. Several workers share the partitions."""
    configure_logs()
    # Faust draws tables into the log; what matters of them we say ourselves.
    for name in ("faust", "aiokafka", "mode"):
        logging.getLogger(name).setLevel(logging.ERROR)
    keep_memory()
    raise SystemExit(asyncio.run(work(load_settings())))


async def work(settings: Settings, failpoint: Callable[[Moment], None] = no_failpoint) -> int:
    """Wire the parts together and drive them; returns the exit code. ``failpoint`` is for tests."""
    if settings.ready_file is not None:
        settings.ready_file.unlink(missing_ok=True)
    # Before the group counts on us: on a machine's first start it takes longer than a block may.
    await asyncio.to_thread(warm_up)
    clock = SystemClock()
    admin = open_admin(settings)
    # One more for the keys.
    books = open_books(settings, pool_size=BLOCKS_AT_ONCE + 1)
    ledger, store = (
        PostgresLedger(books),
        ClickHouseStore(open_usage_store(settings, answer_timeout_s=min(ANSWER_WITHIN_S, settings.stall_limit_s))),
    )
    parts = Parts(
        ledger=ledger,
        store=store,
        catalog=CatalogCache(books),
        retry=Retry(RetryPolicy(), clock, sleep),
        failpoint=failpoint,
        dead_letter_percent_max=settings.dead_letter_percent_max,
    )
    topic, partitions = settings.topic, settings.partitions
    found = await within(
        settings.stall_limit_s,
        lambda: find_log(parts.retry, ledger, topic, partitions, lambda: ensure_topic(admin, topic, partitions)),
    )
    # The first block would wait for its catalog, too.
    await within(settings.stall_limit_s, lambda: parts.retry("reading the catalog", lambda: newest(books, parts)))
    gc.freeze()
    look = topic_look(admin, topic, partitions)
    claims = Claims(
        parts,
        LogSeen(topic, found.incarnation),
        owner=f"{socket.gethostname()}:{os.getpid()}",
        clock=clock,
        # A block may only be done again on a log that surely is the same: no answer is no answer here.
        log_unchanged=lambda: parts.retry("looking at the log", look) == found.topic_id,
        files=KeyFiles(settings.home / "dedupe" / topic, ledger, store, ThreadPoolExecutor(1, "keys")),
    )
    hooks = Hooks(
        topic_watch(look, found.topic_id),
        log_ends=lambda: log_ends(admin, topic, clock),
        after_ack=lambda: failpoint("after_ack"),
        joined=lambda: None if settings.ready_file is None else settings.ready_file.touch(),
    )
    driver = Driver(driver_settings(settings), Desk(claims.claim), hooks)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop_soon, driver)
    return await driver.run()


def newest(books: Engine, parts: Parts) -> Compiled:
    """The catalog of the next block, unless it changes before."""
    with transaction(books) as connection:
        version = current_version(connection)
    return parts.catalog(version)


async def within(limit_s: float, start: Callable[[], Answer]) -> Answer:
    """Do what comes before the driver, whose watchdog sees all the rest; the process ends when it takes too long."""
    # Its thread cannot be stopped, so the process must be.
    try:
        return await asyncio.wait_for(asyncio.to_thread(start), limit_s)
    except TimeoutError:
        get_logger("streams").error("stopped", error=f"not started within {limit_s:.0f} s: {NO_ANSWER}", next=NEXT_STEP)
        os._exit(EXIT_STOPPED)


def log_ends(admin: AdminClient, topic: str, clock: Clock) -> Mapping[int, int]:
    """Where the log's partitions end; empty when the broker does not answer at once."""
    seen = look_at_log(admin, topic, clock)
    return {} if seen is None else seen.ends


def stop_soon(driver: Driver) -> None:
    """Stop, and be gone after a few seconds even in the middle of a block: the ledger knows what was not sealed."""
    driver.stop()
    signal.signal(signal.SIGALRM, lambda *_: os._exit(EXIT_DONE))
    signal.alarm(LEAVE_WITHIN_S)


def driver_settings(settings: Settings) -> DriverSettings:
    """How to read the log, given which broker keeps it."""
    embedded = settings.journal_dir is not None
    return DriverSettings(
        kafka=settings.kafka,
        topic=settings.topic,
        folder=settings.home / "worker",
        group=f"{settings.topic}.streams",
        blocks_at_once=BLOCKS_AT_ONCE,
        session_timeout_s=SESSION_TIMEOUT_EMBEDDED_S if embedded else SESSION_TIMEOUT_S,
        stall_limit_s=settings.stall_limit_s,
    )


def topic_look(admin: AdminClient, topic: str, partitions: int) -> Callable[[], str]:
    """Gives the topic's present id; raises ``Transient`` when the broker does not answer.

    A broker that came back without the topic gets it again, which shows that the log was made anew.
    """

    def look() -> str:
        try:
            return describe(admin, topic)[1]
        except Transient as error:
            get_logger("streams").warning("the topic was not found", error=str(error))
            return ensure_topic(admin, topic, partitions)

    return look


def topic_watch(look: Callable[[], str], topic_id: str) -> Callable[[], bool]:
    """Says whether the topic still has this id; True as well when the broker does not answer."""

    def unchanged() -> bool:
        try:
            return look() == topic_id
        except Transient as error:
            get_logger("streams").warning("the broker does not answer", error=str(error))
            return True

    return unchanged
