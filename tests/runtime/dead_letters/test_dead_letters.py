"""Dead letters of a running line: listed, shown, mended and sent again, discarded; killed in between."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest
from sqlalchemy import insert, text
from typer.testing import CliRunner, Result

from catalog.apply import apply_text
from catalog.keys import create_key, list_keys
from core.clock import SystemClock
from core.db import transaction
from core.errors import Conflict, Refused, Transient
from runtime.commands.dead_letters import EXIT_REFUSED_SOME, dead_letters_app, short_age
from runtime.dead_letters.decide import discard
from runtime.dead_letters.letters import Filter, Letter, list_letters
from runtime.dead_letters.requeue import KEY_NAME, requeue
from runtime.demo.run import Parts
from streams.tables import dead_letters

CATALOG = """
merchant: {code: acme, name: Acme}
meters:
  - {code: large, event_type: call, aggregation: sum, value: size, filters: [{property: kind, op: in, values: [l]}]}
customers:
  - {key: a-1, name: One, zone: UTC, currency: USD}
---
merchant: {code: birch, name: Birch}
meters:
  - {code: large, event_type: call, aggregation: sum, value: size, filters: [{property: kind, op: in, values: [l]}]}
customers:
  - {key: b-1, name: One, zone: UTC, currency: USD}
"""
REQUEUE_AND_DIE = """
import os, signal, sys
from core.clock import SystemClock
from core.db import open_engine
from runtime.dead_letters.requeue import requeue

def die(step):
    if step == sys.argv[3]:
        os.kill(os.getpid(), signal.SIGKILL)

requeue(open_engine(sys.argv[1]), sys.argv[2], SystemClock(), sys.argv[4:], {"size": "5"}, on_step=die)
"""
WITHIN_S = 40


def until(condition: Callable[[], bool]) -> None:
    """Poll until it holds."""
    end_s = time.monotonic() + WITHIN_S
    while not condition():
        assert time.monotonic() < end_s, "it did not come true"
        time.sleep(0.1)


def letters(line: Parts, **wanted: Any) -> list[Letter]:
    """Letters by event id."""
    with transaction(line.books) as connection:
        return sorted(list_letters(connection, Filter(**wanted), 100), key=lambda letter: letter.event_id)


def fates(line: Parts, event_id: str) -> list[str]:
    """What became of each copy of an event, in the order of their storing."""
    sql = """SELECT toString(fate) AS fate FROM usage_events WHERE event_id = {id:String}
        ORDER BY stored_at, kafka_offset, position"""
    return line.store.query_frame(sql, {"id": event_id})["fate"].to_list()


def poison(line: Parts, merchant: str, *ids: str) -> list[Letter]:
    """Send events that pass the door and cannot be counted; returns their letters."""
    with transaction(line.books) as connection:
        key = create_key(connection, merchant).key
    properties = {"kind": "l", "size": "many"}
    subject = f"{merchant[0]}-1"
    sent = [{"id": one, "source": "s", "type": "call", "subject": subject, "properties": properties} for one in ids]
    url, headers = f"{line.gateway_url}/v1/events", {"authorization": f"Bearer {key}"}
    assert httpx.post(url, json=sent, headers=headers).status_code == 202
    until(lambda: {letter.event_id for letter in letters(line)} >= set(ids))
    return [letter for letter in letters(line) if letter.event_id in ids]


def open_keys(line: Parts) -> list[str]:
    """Keys of ours that still open the door."""
    with transaction(line.books) as connection:
        return [key.key_id for key in list_keys(connection) if key.name == KEY_NAME and key.revoked_at is None]


def test_mended_events_are_stored_under_their_own_ids_and_marked_once(line: Parts, postgres_url: str) -> None:
    """Of two merchants at once; also when the requeue is killed before or after the door's answer."""
    apply_text(line.books, CATALOG)
    found = poison(line, "acme", "a", "b", "c") + poison(line, "birch", "d")
    ids = {letter.event_id: letter.dead_letter_id for letter in found}
    assert {letter.code for letter in found} == {"value_not_numeric"}
    assert fates(line, "a") == ["rejected"]

    done = requeue(line.books, line.gateway_url, SystemClock(), [ids["a"], ids["d"]], {"size": "5"})
    again = requeue(line.books, line.gateway_url, SystemClock(), [ids["a"]], {})

    assert (set(done.accepted), done.refused, again.before) == ({ids["a"], ids["d"]}, {}, (ids["a"],))
    until(lambda: fates(line, "a") == ["rejected", "stored"] and fates(line, "d") == ["rejected", "stored"])
    for step, event_id, expected in (("send", "b", ["stored"]), ("end", "c", ["stored", "duplicate"])):
        killed(postgres_url, line.gateway_url, step, ids[event_id])
        assert [letter.event_id for letter in letters(line, state="sending")] == [event_id]
        with pytest.raises(Conflict, match="requeue_under_way"):
            requeue(line.books, line.gateway_url, SystemClock(), [ids[event_id]], {"size": "6"})
        with transaction(line.books) as connection, pytest.raises(Conflict, match="letter_requeued"):
            discard(connection, [ids[event_id]], "no")

        finished = requeue(line.books, line.gateway_url, SystemClock(), [ids[event_id]], {})

        assert finished.accepted == (ids[event_id],)
        until(lambda one=event_id, all_=expected: fates(line, one) == ["rejected", *all_])  # type: ignore[misc]
    sums = line.store.query_frame("SELECT toString(sum(sum)) AS total FROM usage_windows")
    assert (sums["total"][0], letters(line), len(letters(line, state="requeued"))) == ("20", [], 4)
    # Nobody has the keys of the two processes that were killed; an hour later they are ended too.
    assert len(open_keys(line)) == 2
    with transaction(line.books) as connection:
        connection.execute(text("UPDATE api_keys SET created_at = created_at - interval '2 hours'"))
    (last,) = poison(line, "acme", "e")
    requeue(line.books, line.gateway_url, SystemClock(), [last.dead_letter_id], {"size": "1"})
    assert open_keys(line) == []


def killed(postgres_url: str, gateway_url: str, step: str, dead_letter_id: str) -> None:
    """A requeue that ends by SIGKILL at a step."""
    command = [sys.executable, "-c", REQUEUE_AND_DIE, postgres_url, gateway_url, step, dead_letter_id]
    done = subprocess.run(command, check=False, timeout=60, cwd=Path(__file__).parents[3])
    assert done.returncode == -signal.SIGKILL


def run(*arguments: str) -> Result:
    """``millrace dead-letters …``."""
    return CliRunner().invoke(dead_letters_app, list(arguments), catch_exceptions=False)


def said(*arguments: str) -> Any:
    """What it says as JSON."""
    return orjson.loads(run(*arguments, "--json").stdout)


def test_the_commands_list_show_requeue_and_discard(
    line: Parts, endpoints_env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With place, age and reason; refusals of the door are told, and the letter waits again."""
    for name, value in (endpoints_env | {"COLUMNS": "250"}).items():
        monkeypatch.setitem(os.environ, name, value)
    assert "No dead letters" in run("list").stdout
    apply_text(line.books, CATALOG)
    found = poison(line, "acme", "a", "b", "c")
    ids = {letter.event_id: letter.dead_letter_id for letter in found}
    unreadable(line)

    table = run("list").stdout
    for words in ("value_not_numeric", "meter large needs property size, which is 'many'", "acme", "(unreadable)"):
        assert words in table
    assert f"{found[0].partition}@{found[0].kafka_offset}#{found[0].position}" in table
    # Their partitions set them aside in whatever order.
    youngest = sorted(found, key=lambda letter: (letter.created_at, letter.dead_letter_id), reverse=True)
    listed = said("list", "--merchant", "acme", "--limit", "2")
    assert [one["event_id"] for one in listed] == [letter.event_id for letter in youngest[:2]]
    assert "1 of 4; --limit" in run("list", "--limit", "1").stdout
    assert [one["id"] for one in said("list", "--code", "envelope_unreadable")] == ["dlt_raw"]

    shown = said("show", ids["a"])
    assert (shown["state"], shown["event"]["properties"]) == ("waiting", {"kind": "l", "size": "many"})
    assert said("show", "dlt_raw")["raw_base64"] == "AAE="
    assert '"size": "many"' in run("show", ids["a"]).stdout
    assert "2 bytes" in run("show", "dlt_raw").stdout

    refused = run("requeue", ids["a"], "--set", "size=" + "9" * 5_000)
    assert (refused.exit_code, "value_too_long" in refused.stdout) == (EXIT_REFUSED_SOME, True)
    assert said("show", ids["a"])["state"] == "waiting"
    assert said("requeue", ids["a"], "--set", "size=7")["requeued"] == [ids["a"]]
    assert "0 sent again, 1 had been before" in run("requeue", ids["a"]).stdout
    with pytest.raises(Refused, match="letter_unreadable"):
        run("requeue", ids["b"], "dlt_raw")
    with pytest.raises(Refused, match="dlt_nobody"):
        run("requeue", "dlt_nobody")
    with pytest.raises(Refused, match="PROPERTY=VALUE"):
        run("requeue", ids["b"], "--set", "size")
    with pytest.raises(Transient):
        requeue_nowhere(line, ids["c"])
    assert said("show", ids["c"])["state"] == "sending"

    assert said("discard", ids["b"], "dlt_raw", "--reason", "a test of ours")["discarded"] == 2
    assert said("discard", ids["b"], "--reason", "another reason")["discarded"] == 0
    assert said("show", ids["b"])["discarded_because"] == "a test of ours"
    with pytest.raises(Refused, match="reason_invalid"):
        run("discard", ids["b"], "--reason", " ")
    with pytest.raises(Conflict, match="letter_discarded"):
        run("requeue", ids["b"])
    assert sorted(one["state"] for one in said("list", "--all")) == ["discarded", "discarded", "requeued", "sending"]
    assert said("list") == []


def unreadable(line: Parts) -> None:
    """A letter of a message in which nobody found an envelope."""
    row = {"dead_letter_id": "dlt_raw", "topic": line.topic, "incarnation": 1, "partition": 3, "kafka_offset": 900}
    row |= {"position": -1, "merchant_id": "", "event_id": "", "code": "envelope_unreadable", "message": "no Arrow"}
    with transaction(line.books) as connection:
        connection.execute(insert(dead_letters).values(row | {"raw": b"\0\1", "payload": None}))


def requeue_nowhere(line: Parts, dead_letter_id: str) -> None:
    """A requeue whose gateway is away for longer than anybody waits."""

    class Impatient(SystemClock):
        """A clock on which every look takes half a minute."""

        looked = 0

        def steady_s(self) -> float:
            """Half a minute later than before."""
            self.looked += 1
            return 30.0 * self.looked

    requeue(line.books, "http://127.0.0.1:1", Impatient(), [dead_letter_id], {"size": "1"})


@pytest.mark.parametrize(
    ("seconds", "words"), [(0, "0 s"), (59, "59 s"), (60, "1 min"), (7200, "2 h"), (86_400, "1 d")]
)
def test_an_age_is_told_in_its_largest_unit(seconds: int, words: str) -> None:
    """Short enough for a table."""
    assert short_age(timedelta(seconds=seconds)) == words
