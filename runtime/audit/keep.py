"""Results of audits, kept and found again."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Engine, Row, delete, insert, select

from core.db import transaction
from runtime.audit.finding import Finding
from runtime.audit.run import Report
from runtime.audit.tables import audit_findings, audit_runs

# Of a disaster the first findings are enough; the run's count says how many there were.
FINDINGS_KEPT_MAX = 1_000
CLEAN_RUNS_KEPT = timedelta(days=30)


def keep_report(books: Engine, report: Report) -> None:
    """Write a report down, and let go of clean ones from long ago."""
    with transaction(books) as connection:
        connection.execute(
            insert(audit_runs).values(
                run_id=report.run_id,
                topic=report.topic,
                since=report.since,
                cutoff=report.cutoff,
                started_at=report.started_at,
                finished_at=report.finished_at,
                ok=report.ok,
                findings=len(report.findings),
                figures=report.figures,
                notes=list(report.notes),
            )
        )
        rows = [
            finding_row(report.run_id, position, finding)
            for position, finding in enumerate(report.findings[:FINDINGS_KEPT_MAX], start=1)
        ]
        if rows:
            connection.execute(insert(audit_findings), rows)
        old = report.started_at - CLEAN_RUNS_KEPT
        connection.execute(delete(audit_runs).where(audit_runs.c.ok, audit_runs.c.started_at < old))


def finding_row(run_id: str, position: int, finding: Finding) -> dict[str, Any]:
    """A finding as a row."""
    return {
        "run_id": run_id,
        "position": position,
        "code": finding.code,
        "message": finding.message.replace("\0", "�"),
        "merchant_id": finding.merchant_id,
        "place": dict(finding.place),
        "events": [event.replace("\0", "�") for event in finding.events],
        "repair": finding.repair,
    }


def last_reports(connection: Connection, topic: str, count: int = 1) -> list[Report]:
    """The newest reports of a topic, newest first, with their findings."""
    newest = select(audit_runs).where(audit_runs.c.topic == topic).order_by(audit_runs.c.started_at.desc()).limit(count)
    return [as_report(row, load_findings(connection, row.run_id)) for row in connection.execute(newest).all()]


def last_cutoff(connection: Connection, topic: str, *, whole_only: bool = False) -> datetime | None:
    """The cut-off of the newest audit that found nothing; of those that looked at everything if asked."""
    clean = select(audit_runs.c.cutoff).where(audit_runs.c.topic == topic, audit_runs.c.ok)
    if whole_only:
        clean = clean.where(audit_runs.c.since.is_(None))
    found: datetime | None = connection.execute(clean.order_by(audit_runs.c.started_at.desc()).limit(1)).scalar()
    return found


def load_findings(connection: Connection, run_id: str) -> tuple[Finding, ...]:
    """A run's findings, the first difference first."""
    statement = select(audit_findings).where(audit_findings.c.run_id == run_id).order_by(audit_findings.c.position)
    return tuple(
        Finding(row.code, row.message, row.place, tuple(row.events), row.merchant_id, row.repair)
        for row in connection.execute(statement)
    )


def as_report(row: Row[Any], findings: tuple[Finding, ...]) -> Report:
    """A row of ``audit_runs`` as the report that it was."""
    return Report(
        run_id=row.run_id,
        topic=row.topic,
        since=row.since,
        cutoff=row.cutoff,
        started_at=row.started_at,
        finished_at=row.finished_at,
        findings=findings,
        figures=row.figures,
        notes=tuple(row.notes),
    )
