"""Settings: read once from the environment, checked, frozen. Nothing outside ``runtime`` reads the environment."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, get_args

import orjson

from core.errors import Refused
from core.limits import DEAD_LETTER_PERCENT_MAX

DEFAULT_TOPIC = "millrace.usage-events"
# Longer than the stores are tried again for, and than any claim or block takes.
STALL_LIMIT_S = 180
# Room on ClickHouse's disk that no write gets: it must outlast what is under way when others fill the disk.
DISK_RESERVE_MIB = 256
# The log that a stack starts for itself: the in-memory broker from a wheel, or Apache Kafka from its Maven artifacts.
LogKind = Literal["embedded", "apache"]


@dataclass(frozen=True, slots=True)
class Settings:
    """Where everything is. A URL that is not given is that of the embedded stack running in ``home``."""

    home: Path
    kafka: str
    clickhouse_url: str
    postgres_url: str
    gateway_url: str
    api_url: str
    topic: str
    partitions: int
    # Set when the log is the embedded broker, which keeps it in memory: the gateway then journals to disk.
    journal_dir: Path | None
    # The share of a block's events that may be dead letters before the worker stops; 100 lets all pass.
    dead_letter_percent_max: int = DEAD_LETTER_PERCENT_MAX
    # A worker leaves when messages wait and it has sealed nothing for so long.
    stall_limit_s: int = STALL_LIMIT_S
    # A worker makes it once it is of its group and has claimed what it was given.
    ready_file: Path | None = None


@dataclass(frozen=True, slots=True)
class StackSettings:
    """What the embedded stack needs to start: ports, and which parts are replaced by URLs."""

    home: Path
    gateway_port: int
    kafka_port: int
    clickhouse_port: int
    postgres_port: int
    kafka: str | None
    clickhouse_url: str | None
    postgres_url: str | None
    topic: str
    partitions: int
    # Says nothing when ``kafka`` is given.
    log: LogKind = "embedded"
    # 0 leaves the part out.
    api_port: int = 0
    audit_every_s: int = 0
    release_every_s: int = 0
    disk_reserve_mib: int = DISK_RESERVE_MIB


def endpoints_file(home: Path) -> Path:
    """The file in which a running stack says where it listens."""
    return home / "run" / "endpoints.json"


def load_stack_settings(env: Mapping[str, str] | None = None) -> StackSettings:
    """Read the settings of ``millrace up``; raises ``Refused`` naming the variable that is wrong."""
    env = os.environ if env is None else env
    return StackSettings(
        home=home_of(env),
        gateway_port=number(env, "MILLRACE_GATEWAY_PORT", 9876),
        kafka_port=number(env, "MILLRACE_KAFKA_PORT", 19092),
        clickhouse_port=number(env, "MILLRACE_CLICKHOUSE_PORT", 18123),
        postgres_port=number(env, "MILLRACE_POSTGRES_PORT", 15432),
        kafka=env.get("MILLRACE_KAFKA"),
        clickhouse_url=env.get("MILLRACE_CLICKHOUSE_URL"),
        postgres_url=env.get("MILLRACE_POSTGRES_URL"),
        topic=env.get("MILLRACE_TOPIC", DEFAULT_TOPIC),
        partitions=number(env, "MILLRACE_PARTITIONS", 4),
        log=log_kind(env.get("MILLRACE_LOG", "embedded")),
        api_port=number(env, "MILLRACE_API_PORT", 8080),
        audit_every_s=number(env, "MILLRACE_AUDIT_EVERY_S", 300),
        release_every_s=number(env, "MILLRACE_RELEASE_EVERY_S", 60),
        disk_reserve_mib=number(env, "MILLRACE_DISK_RESERVE_MIB", DISK_RESERVE_MIB),
    )


def log_kind(text: str) -> LogKind:
    """Which log a stack is to start; raises ``Refused`` when there is none of this name."""
    for kind in get_args(LogKind):
        if text == kind:
            found: LogKind = kind
            return found
    raise Refused("setting_invalid", f"the log is one of {', '.join(get_args(LogKind))}, not {text!r}")


def load_settings(env: Mapping[str, str] | None = None) -> Settings:
    """Read where the parts are: from the environment, else from the stack that runs in ``MILLRACE_HOME``.

    Raises ``Refused`` with ``no_stack`` when a URL is missing and no stack runs.
    """
    env = os.environ if env is None else env
    home = home_of(env)
    running = read_endpoints(home)
    journal, ready = env.get("MILLRACE_JOURNAL_DIR"), env.get("MILLRACE_READY_FILE")
    return Settings(
        home=home,
        kafka=place(env, "MILLRACE_KAFKA", running, "kafka", home),
        clickhouse_url=place(env, "MILLRACE_CLICKHOUSE_URL", running, "clickhouse_url", home),
        postgres_url=place(env, "MILLRACE_POSTGRES_URL", running, "postgres_url", home),
        gateway_url=env.get("MILLRACE_GATEWAY_URL") or running.get("gateway_url", "http://127.0.0.1:9876"),
        api_url=env.get("MILLRACE_API_URL") or running.get("api_url", "http://127.0.0.1:8080"),
        topic=env.get("MILLRACE_TOPIC", DEFAULT_TOPIC),
        partitions=number(env, "MILLRACE_PARTITIONS", 4),
        journal_dir=Path(journal) if journal else None,
        dead_letter_percent_max=number(env, "MILLRACE_DEAD_LETTER_PERCENT_MAX", DEAD_LETTER_PERCENT_MAX),
        stall_limit_s=max(1, number(env, "MILLRACE_STALL_LIMIT_S", STALL_LIMIT_S)),
        ready_file=Path(ready) if ready else None,
    )


def home_of(env: Mapping[str, str]) -> Path:
    """The one folder under which everything embedded lives."""
    return Path(env.get("MILLRACE_HOME", ".millrace")).absolute()


def read_endpoints(home: Path) -> dict[str, str]:
    """What the running stack wrote about itself; empty when there is none."""
    try:
        said: dict[str, str] = orjson.loads(endpoints_file(home).read_bytes())
    except FileNotFoundError:
        return {}
    return said


def place(env: Mapping[str, str], variable: str, running: Mapping[str, str], name: str, home: Path) -> str:
    """One address, from the environment or else from the running stack."""
    found = env.get(variable) or running.get(name)
    if not found:
        raise Refused("no_stack", f"no stack is running in {home}: start one with 'millrace up', or set {variable}")
    return found


def number(env: Mapping[str, str], variable: str, default: int) -> int:
    """A whole number from the environment."""
    text = env.get(variable)
    if text is None:
        return default
    if not text.isdecimal():
        raise Refused("setting_invalid", f"{variable} must be a whole number, not {text!r}")
    return int(text)
