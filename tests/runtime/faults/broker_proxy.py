"""A TCP proxy before a broker, to be cut, slowed down or made to swallow everything.

A broker tells its clients where it is, and they would go there past the proxy: in every answer the broker's address is
replaced by the proxy's, which is as long.
"""

from __future__ import annotations

import queue
import socket
import struct
import threading
import time
from contextlib import suppress
from typing import Literal

# cut: connections end and new ones are refused. slow: answers come late. silent: connections stay, nothing arrives.
Mode = Literal["open", "cut", "slow", "silent"]

READ_BYTES = 65_536
HOST = b"127.0.0.1"


class BrokerProxy:
    """Listens on a port of its own for as long as the ``with`` block runs."""

    def __init__(self, broker: str, delay_s: float = 5.0) -> None:
        host, _, port = broker.partition(":")
        self._upstream = (host, int(port))
        self._delay_s = delay_s
        self._mode: Mode = "open"
        self._links: list[_Link] = []
        self._lock = threading.Lock()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        # As Kafka writes an address into its answers: the name's bytes, then the port in four.
        self._theirs = HOST + struct.pack(">i", int(port))
        self._ours = HOST + struct.pack(">i", self.port)
        threading.Thread(target=self._accept, name="proxy", daemon=True).start()

    def __enter__(self) -> BrokerProxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self._drop()

    @property
    def address(self) -> str:
        """What to give a client in place of the broker's address."""
        return f"127.0.0.1:{self.port}"

    @property
    def mode(self) -> Mode:
        """How it behaves now."""
        return self._mode

    def turn(self, mode: Mode) -> None:
        """Behave otherwise from now on. What was swallowed stays lost, and its connections end with the silence."""
        before, self._mode = self._mode, mode
        if mode == "cut" or before == "silent":
            self._drop()

    def due_s(self) -> float:
        """When an answer that comes now is to be passed on."""
        return time.monotonic() + (self._delay_s if self._mode == "slow" else 0.0)

    def as_ours(self, answer: bytes) -> bytes:
        """An answer that names the proxy."""
        return answer.replace(self._theirs, self._ours)

    def _drop(self) -> None:
        with self._lock:
            links, self._links = self._links, []
        for link in links:
            link.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            if self._mode == "cut":
                client.close()
                continue
            try:
                broker = socket.create_connection(self._upstream, timeout=5)
            except OSError:
                client.close()
                continue
            broker.settimeout(None)
            with self._lock:
                self._links.append(_Link(self, client, broker))


class _Link:
    """One client's connection to the broker."""

    def __init__(self, proxy: BrokerProxy, client: socket.socket, broker: socket.socket) -> None:
        self._proxy, self._client, self._broker = proxy, client, broker
        self._late: queue.SimpleQueue[tuple[float, bytes]] = queue.SimpleQueue()
        for job in (self._ask, self._hear, self._answer):
            threading.Thread(target=self._run, args=(job,), name="proxy-link", daemon=True).start()

    def close(self) -> None:
        """End both connections at once."""
        for one in (self._client, self._broker):
            with suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
        self._late.put((0.0, b""))

    def _run(self, job: object) -> None:
        assert callable(job)
        with suppress(OSError, struct.error):
            job()
        self.close()

    def _ask(self) -> None:
        """Questions go through at once."""
        while asked := self._client.recv(READ_BYTES):
            if self._proxy.mode != "silent":
                self._broker.sendall(asked)

    def _hear(self) -> None:
        """Answers are read whole, so that no address is cut in two."""
        with self._broker.makefile("rb") as stream:
            while head := stream.read(4):
                body = stream.read(*struct.unpack(">i", head))
                if self._proxy.mode != "silent":
                    self._late.put((self._proxy.due_s(), head + self._proxy.as_ours(body)))

    def _answer(self) -> None:
        """Pass answers on when they are due."""
        while True:
            due_s, answer = self._late.get()
            if not answer:
                return
            time.sleep(max(0.0, due_s - time.monotonic()))
            self._client.sendall(answer)
