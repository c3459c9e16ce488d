"""The whole of Millrace on one machine: engines, then schema and topic, then the processes that use them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from clickhouse import migrate
from clickhouse.client import open_usage_store
from core.clock import SystemClock
from core.errors import Refused
from migrations.apply import upgrade
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.part import Part, module_argv, module_env
from runtime.embedded.ports import EmbeddedPorts
from runtime.embedded.probes import http_answers
from runtime.embedded.stack import CLICKHOUSE, KAFKA, POSTGRES, embedded_parts, endpoints
from runtime.embedded.supervisor import OnEvent, Supervisor, ignore_event
from runtime.settings import StackSettings
from runtime.topic import open_admin, wait_for_topic

GATEWAY = "gateway"
WORKER = "worker"
API = "api"
AUDITOR = "auditor"
RELEASER = "releaser"


@dataclass(frozen=True)
class Stack:
    """A running stack: where it serves, and who watches it."""

    endpoints: Endpoints
    supervisor: Supervisor
    topic: str


@contextmanager
def running_stack(
    settings: StackSettings,
    on_event: OnEvent = ignore_event,
    cancelled: Callable[[], bool] = lambda: False,
) -> Iterator[Stack]:
    """Start everything in order and stop it all at the end, whatever happens in between.

    Engines for which the settings name a URL are not started. Raises ``PartFailed`` when a part does not come up.
    """
    ports = EmbeddedPorts(settings.kafka_port, settings.clickhouse_port, settings.postgres_port)
    keep_to_one_log(settings)
    with Supervisor(settings.home, on_event) as supervisor:
        engines = embedded_parts(
            settings.home,
            ports,
            replaced(settings),
            apache_kafka=settings.log == "apache",
            disk_reserve_mib=settings.disk_reserve_mib,
        )
        supervisor.start(engines, cancelled=cancelled)
        found = addresses(settings, ports)
        if not cancelled():
            prepare(found, settings)
            # None of them needs another one to start.
            supervisor.start(processes(settings, found), together=True, cancelled=cancelled)
            supervisor.publish(found)
        yield Stack(found, supervisor, settings.topic)


def replaced(settings: StackSettings) -> frozenset[str]:
    """The engines that a URL stands in for."""
    given = {KAFKA: settings.kafka, CLICKHOUSE: settings.clickhouse_url, POSTGRES: settings.postgres_url}
    return frozenset(name for name, url in given.items() if url)


def keep_to_one_log(settings: StackSettings) -> None:
    """Refuse to leave behind what another log of this home may hold and nobody would read any more."""
    home, log = settings.home, settings.log
    left = {"apache": journal_dir(home), "embedded": home / KAFKA / "data"}[log]
    if settings.kafka is None and left.is_dir() and any(left.iterdir()):
        raise Refused(
            "log_changed",
            f"{left} may hold events that are not stored yet: keep the log of before, or choose another MILLRACE_HOME",
            status=409,
        )


def addresses(settings: StackSettings, ports: EmbeddedPorts) -> Endpoints:
    """Where everything is, embedded or given."""
    found = endpoints(
        settings.home,
        ports,
        kafka=settings.kafka,
        clickhouse_url=settings.clickhouse_url,
        postgres_url_given=settings.postgres_url,
        gateway_url=f"http://127.0.0.1:{settings.gateway_port}",
    )
    return replace(found, api_url=f"http://127.0.0.1:{settings.api_port}" if settings.api_port else None)


def prepare(found: Endpoints, settings: StackSettings) -> None:
    """Bring both schemas up to date and make the topic; all of it may be done again at any time."""
    upgrade(found.postgres_url)
    store = open_usage_store(found.clickhouse_url)
    try:
        migrate.migrate(store)
    finally:
        store.close()
    wait_for_topic(open_admin(found.kafka), settings.topic, settings.partitions, SystemClock())


def processes(settings: StackSettings, found: Endpoints) -> list[Part]:
    """Our own processes, told by their environment where the engines are."""
    env = {
        **module_env(),
        "MILLRACE_HOME": str(settings.home),
        "MILLRACE_KAFKA": found.kafka,
        "MILLRACE_CLICKHOUSE_URL": found.clickhouse_url,
        "MILLRACE_POSTGRES_URL": found.postgres_url,
        "MILLRACE_GATEWAY_PORT": str(settings.gateway_port),
        "MILLRACE_TOPIC": settings.topic,
        "MILLRACE_PARTITIONS": str(settings.partitions),
    }
    if settings.kafka is None and settings.log == "embedded":
        # The embedded broker forgets everything when it dies, so what is acknowledged must be on disk first.
        env["MILLRACE_JOURNAL_DIR"] = str(journal_dir(settings.home))
    port = settings.gateway_port
    parts = [
        worker_part(settings, env),
        Part(
            GATEWAY,
            module_argv("runtime", "gateway"),
            ready=lambda: http_answers(port, "/readyz"),
            env=env,
            port=port,
            grace_s=15,
        ),
    ]
    return [*parts, *optional_parts(settings, env)]


def worker_part(settings: StackSettings, env: Mapping[str, str]) -> Part:
    """The worker, which is ready once it is of its group and has claimed its partitions: then it can seal."""
    ready = settings.home.absolute() / "run" / "worker.ready"

    def prepare() -> None:
        # What an earlier one said.
        ready.parent.mkdir(parents=True, exist_ok=True)
        ready.unlink(missing_ok=True)

    return Part(
        WORKER,
        module_argv("runtime", "worker"),
        ready=ready.exists,
        env={**env, "MILLRACE_READY_FILE": str(ready)},
        prepare=prepare,
        # On a machine's first start its kernels are compiled.
        ready_within_s=180,
        grace_s=15,
    )


def optional_parts(settings: StackSettings, env: dict[str, str]) -> list[Part]:
    """Those that events do not pass through: who answers questions, who checks, and who counts held events at last."""
    parts = []
    if settings.api_port:
        port = settings.api_port
        argv = module_argv("runtime", "api", "--port", str(port))
        parts.append(Part(API, argv, ready=lambda: http_answers(port, "/healthz"), env=env, port=port, grace_s=15))
    if settings.audit_every_s:
        argv = module_argv("runtime", "auditor", "--every", str(settings.audit_every_s))
        parts.append(Part(AUDITOR, argv, ready=lambda: True, env=env, grace_s=15))
    if settings.release_every_s:
        argv = module_argv("runtime", "releaser", "--every", str(settings.release_every_s))
        parts.append(Part(RELEASER, argv, ready=lambda: True, env=env, grace_s=15))
    return parts


def journal_dir(home: Path) -> Path:
    """Where the gateway journals in embedded mode."""
    return home / "journal"
