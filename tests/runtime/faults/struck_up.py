"""``millrace up`` with a gateway and a worker that obey orders: ``python -m tests.runtime.faults.struck_up up``."""

from __future__ import annotations

from dataclasses import replace
from unittest.mock import patch

from runtime import stack
from runtime.cli import main
from runtime.embedded.endpoints import Endpoints
from runtime.embedded.part import Part, module_argv
from runtime.settings import StackSettings

OBEDIENT = {
    stack.GATEWAY: "tests.runtime.faults.struck_gateway",
    stack.WORKER: "tests.runtime.faults.struck_worker",
}
as_ever = stack.processes


def processes(settings: StackSettings, found: Endpoints) -> list[Part]:
    """The stack's own processes, two of them in the form that obeys."""
    return [
        replace(part, argv=module_argv(OBEDIENT[part.name])) if part.name in OBEDIENT else part
        for part in as_ever(settings, found)
    ]


if __name__ == "__main__":
    with patch("runtime.stack.processes", processes):
        main()
