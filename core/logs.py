"""Logs: one JSON object a line when nobody watches, coloured text on a terminal. Secrets never reach them."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import MutableMapping
from typing import Any

import structlog

SECRET_NAMES = re.compile(r"key|secret|token|password|authorization", re.IGNORECASE)
SECRET_TEXT = re.compile(r"bb_[A-Za-z0-9_-]{8,}|://[^:/@\s]+:[^@\s]+@")


def configure_logs(level: str = "INFO", *, json_lines: bool | None = None) -> None:
    """Set up structlog and the standard library's logging for this process; called by ``runtime`` only."""
    as_json = not sys.stderr.isatty() if json_lines is None else json_lines
    renderer: Any = structlog.processors.JSONRenderer() if as_json else structlog.dev.ConsoleRenderer()
    structlog.configure(
        processors=[
            structlog.contextvars.merge_contextvars,
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            # Last before rendering: whatever an earlier step put in is covered too.
            hide_secrets,
            renderer,
        ],
        wrapper_class=structlog.make_filtering_bound_logger(logging.getLevelNamesMapping()[level]),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=level, stream=sys.stderr, format="%(levelname)s %(name)s %(message)s")


def hide_secrets(_logger: Any, _method: str, event: MutableMapping[str, Any]) -> MutableMapping[str, Any]:
    """Replace values under secret-looking names, and keys and passwords inside any text."""
    for name, value in event.items():
        if SECRET_NAMES.search(name) and name != "key_id":
            event[name] = "[hidden]"
        elif isinstance(value, str):
            event[name] = SECRET_TEXT.sub("[hidden]", value)
    return event


def get_logger(name: str) -> structlog.stdlib.BoundLogger:
    """Return a logger that carries its part's name."""
    logger: structlog.stdlib.BoundLogger = structlog.get_logger(part=name)
    return logger
