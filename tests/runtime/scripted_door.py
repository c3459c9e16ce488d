"""A door that answers as told: real HTTP over a socket, so that loss, refusal and delay can be tried on a sender."""

from __future__ import annotations

import json
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Event = dict[str, Any]
# What happens to one request: "take", "take_then_drop" (kept, but no answer), "drop", or a status.
Step = str | int


@dataclass
class ScriptedDoor:
    """Takes one step of the script for each request, then keeps everything. ``taken`` holds events as they came."""

    url: str = ""
    script: deque[Step] = field(default_factory=deque)
    refuse: Callable[[Event], tuple[str, str] | None] = lambda _event: None
    taken: list[Event] = field(default_factory=list)
    paths: list[str] = field(default_factory=list)
    keys: set[str] = field(default_factory=set)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def answer(self, path: str, key: str, body: bytes) -> tuple[int, dict[str, Any]] | None:
        """The status and content for a request, or nothing to drop the connection."""
        with self.lock:
            step = self.script.popleft() if self.script else "take"
            self.paths.append(path)
            self.keys.add(key)
            if step == "drop":
                return None
            if isinstance(step, int):
                return step, {"title": "scripted", "detail": f"scripted {step}"}
            rejected = []
            events = json.loads(body, parse_float=Decimal, parse_int=Decimal)
            for index, event in enumerate(events):
                why = self.refuse(event)
                if why:
                    rejected.append({"index": index, "id": event.get("id"), "code": why[0], "message": why[1]})
                else:
                    self.taken.append(event)
            if step == "take_then_drop":
                return None
            accepted = len(events) - len(rejected)
            return (207 if rejected else 202), {"accepted": accepted, "rejected": rejected}


@contextmanager
def open_door(*script: Step) -> Iterator[ScriptedDoor]:
    """A door on a free port for as long as the block runs."""
    door = ScriptedDoor(script=deque(script))

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            answer = door.answer(self.path, self.headers["Authorization"].removeprefix("Bearer "), body)
            if answer is None:
                self.close_connection = True
                return
            content = json.dumps(answer[1]).encode()
            self.send_response(answer[0])
            if answer[0] == 429:
                self.send_header("Retry-After", "0")
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_args: Any) -> None:  # noqa: A002 - the base class names it
            return

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    door.url = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield door
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
