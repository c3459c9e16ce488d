"""The commands of corrections on a running line, as people and programs call them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import orjson
import pytest
from typer.testing import CliRunner, Result

from catalog.keys import list_keys
from core.db import transaction
from core.errors import Conflict, Refused
from runtime.cli import build_app
from tests.runtime.corrections.conftest import CATALOG, METERS, Sender, apply, event, expected, usage

NEW = (("gpu", "gpu"), ("calls", "call"))


@pytest.fixture(autouse=True)
def settled(endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment that says where the line is."""
    for name, value in (endpoints_env | {"COLUMNS": "200"}).items():
        monkeypatch.setitem(os.environ, name, value)


def run(*arguments: str, text: bytes | None = None) -> Result:
    """``millrace …``."""
    return CliRunner().invoke(build_app(), list(arguments), input=text, catch_exceptions=False)


def said(*arguments: str, text: bytes | None = None) -> Any:
    """What it says as JSON."""
    return orjson.loads(run(*arguments, "--json", text=text).stdout)


def test_retract_and_amend_say_what_became_of_each(sender: Sender, tmp_path: Path) -> None:
    """Whose it is, is found out; the file's numbers stay as written; what the door refuses is told with exit code 3."""
    sender.send([event(n) for n in range(10)])
    sender.settle()

    done = said("retract", "e1", "e2", "--reason", "a test")
    assert (done["merchant"], [one["fate"] for one in done["corrections"]]) == ("acme", ["retraction", "retraction"])
    assert "was retracted before" in run("retract", "e1").stdout
    assert said("retract", "e99", "--merchant", "acme")["corrections"][0]["reason"] == "unknown_event"
    file = tmp_path / "events.json"
    changed = orjson.dumps(event(3)).replace(b'"size":4', b'"size":0.100')
    file.write_bytes(b"[" + changed + b"," + orjson.dumps(event(4, size="bad")) + b"]")
    refused = run("amend", "--file", str(file))
    assert (refused.exit_code, "value_not_numeric" in refused.stdout) == (3, True)
    assert "amended: the new content counts" in refused.stdout
    lines = b"\n".join(orjson.dumps(event(n, size=50)) for n in (5, 6))
    assert [one["fate"] for one in said("amend", "--file", "-", text=lines)["corrections"]] == ["stored", "stored"]
    sent = said("retract", "e7", "--no-wait")["corrections"][0]
    assert (sent["id"], sent["said"]) == ("e7", sent["said"])

    for gone in ("e1", "e2", "e7"):
        del sender.alive[gone]
    sender.alive |= {"e3": event(3, size="0.1"), "e5": event(5, size=50), "e6": event(6, size=50)}
    sender.sent += 8
    sender.settle()
    sender.agrees()
    with pytest.raises(Refused, match="merchant_needed"):
        run("retract", "e98")
    with pytest.raises(Refused, match="id_missing"):
        run("amend", "--file", "-", "--merchant", "acme", text=b"{}")
    with transaction(sender.line.books) as connection:
        assert [key.name for key in list_keys(connection, "acme") if key.revoked_at is None] == [""]


def test_a_source_is_found_out_where_there_is_one(sender: Sender) -> None:
    """Of two sources one has to be named."""
    sender.send([event(1, source="x"), event(2, source="x")])
    sender.ask("POST", "/v1/events?backfill=true", [event(2, source="y")])
    sender.settle()

    assert said("retract", "e1")["corrections"][0] | {"said": ""} == {
        "id": "e1", "source": "x", "action": "retract", "fate": "retraction", "reason": None, "said": "",
    }  # fmt: skip
    with pytest.raises(Conflict, match="source_needed"):
        run("retract", "e2")
    assert said("retract", "e2", "--source", "y")["corrections"][0]["fate"] == "retraction"


def test_a_backfill_goes_from_open_to_reverted(sender: Sender, tmp_path: Path) -> None:
    """Open, send, show, preview, close, revert and list; sending the file again adds nothing."""
    sender.send([event(n) for n in range(20)])
    sender.settle()
    made = said(
        "backfill", "open", "--merchant", "acme", "--from", "2023-03-01", "--to", "2023-04-01", "--note", "lost"
    )
    file = tmp_path / "march.ndjson"
    events = [event(n, day="2023-03-07") for n in range(100, 140)]
    file.write_bytes(b"\n".join(map(orjson.dumps, [*events, event(200)])))

    first = run("backfill", "send", made["id"], str(file))
    assert (first.exit_code, "40 accepted, 1 refused" in first.stdout) == (3, True)
    assert "event 41: the event lies outside of the backfill's span" in first.stdout
    assert said("backfill", "send", made["id"], str(file))["accepted"] == 40
    sender.sent += 80
    sender.settle()
    sender.agrees()
    shown = said("backfill", "show", made["id"])
    assert (shown["state"], shown["events"], shown["duplicates"], shown["counted"]) == ("open", 40, 40, 0)
    effect = said("backfill", "preview", made["id"])["effect"]
    assert {row["meter"]: row["new_quantity"] for row in effect}["count"] == "40"
    assert "invoice" in run("backfill", "preview", made["id"]).stdout

    closed = said("backfill", "close", made["id"])
    assert (closed["state"], closed["counted"], closed["ended_at"] is not None) == ("closed", 40, True)
    sender.alive |= {one["id"]: one for one in events}
    sender.agrees()
    assert "closed" in run("backfill", "close", made["id"]).stdout
    with pytest.raises(Refused, match="the backfill is closed"):
        run("backfill", "send", made["id"], str(file))
    assert said("backfill", "revert", made["id"])["taken_back"] == 40
    for one in events:
        del sender.alive[one["id"]]
    sender.agrees()
    assert [(one["id"], one["state"], one["note"]) for one in said("backfill", "list", "--merchant", "acme")] == [
        (made["id"], "reverted", "lost")
    ]
    assert "lost" in run("backfill", "list").stdout
    with pytest.raises(Refused, match="backfill_unknown"):
        run("backfill", "show", "bfl_none")


def test_release_and_fill_count_what_was_there_before(sender: Sender) -> None:
    """Events of an unknown type, and a meter that came later."""
    sender.send([event(n) | {"type": "gpu"} for n in range(30)])
    sender.send([event(n) for n in range(100, 150)])
    sender.settle()
    assert said("release") == {"events": 0, "corrections": 0, "backfilled": 0, "backfills_ended": []}

    more = (
        "  - {code: gpu, event_type: gpu, aggregation: count}\n  - {code: calls, event_type: call, aggregation: count}"
    )
    apply(sender.line, CATALOG.replace(METERS, f"{METERS}\n{more}"))
    assert said("release")["events"] == 30
    assert "0 held events" in run("release").stdout
    done = said("meters", "fill", "calls", "--merchant", "acme")
    assert done["changed"] == [
        {"customer": "c-1", "events_before": 0, "events": 50, "quantity_before": "0", "quantity": "50"}
    ]
    assert "usage of 0 customers changed" in run("meters", "fill", "calls", "--merchant", "acme").stdout
    counted = {key: value for key, value in usage(sender.line).items() if key[1] not in {"gpu", "calls"}}
    assert counted == expected([event(n) for n in range(100, 150)])
    sender.audit_agrees()
    with pytest.raises(Refused, match="meter_unknown"):
        run("meters", "fill", "none", "--merchant", "acme")
