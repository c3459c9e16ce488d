"""Audits on a schedule: often what is new, now and then everything."""

from __future__ import annotations

import threading
from datetime import datetime, timedelta

from core.db import transaction
from core.errors import MillraceError
from core.logs import get_logger
from runtime.audit.keep import keep_report, last_cutoff
from runtime.audit.run import AuditParts, Report, audit

WHOLE_EVERY = timedelta(days=1)
# Blocks before the last clean cut-off are looked at again for this long: rows must not only arrive, but stay.
OVERLAP = timedelta(hours=1)


def audit_for_ever(parts: AuditParts, every_s: float, stopping: threading.Event) -> None:
    """Audit every ``every_s`` seconds until told to stop. A store that is away is waited for."""
    while not stopping.wait(every_s):
        try:
            audit_next(parts)
        except MillraceError as error:
            get_logger("auditor").warning("no audit this time", error=str(error))


def audit_next(parts: AuditParts) -> Report:
    """One scheduled audit: of everything once a day, else of what is new; kept, and told in the log."""
    since = next_start(parts, parts.clock.now())
    report = audit(parts, since)
    keep_report(parts.books, report)
    log = get_logger("auditor")
    if report.ok:
        log.info("audit", run=report.run_id, since=str(since), **report.figures)
    else:
        first = report.findings[0]
        log.error("audit differs", run=report.run_id, findings=len(report.findings), first=first.message)
    return report


def next_start(parts: AuditParts, now: datetime) -> datetime | None:
    """From when on to look: a while before the last clean cut-off; None, for everything, once a day.

    After an audit that found something the next one starts where that one did, until it is mended.
    """
    with transaction(parts.books) as connection:
        whole = last_cutoff(connection, parts.topic, whole_only=True)
        last = last_cutoff(connection, parts.topic)
    if whole is None or last is None or now - whole > WHOLE_EVERY:
        return None
    return last - OVERLAP
