"""``millrace gateway`` that obeys orders at three moments in the life of a request.

before_produce   the body was read and decoded; nothing was handed to the log or the journal
before_report    the log has answered; the gateway has not heard it yet
before_answer    the log has confirmed; the client has not been answered
"""

from __future__ import annotations

import os
import signal
from typing import ClassVar
from unittest.mock import patch

from ingest.config import GatewayConfig, GatewayParts
from ingest.delivery import Client
from ingest.gateway import Gateway
from ingest.parcel import Parcel, Waiter
from ingest.producer import OnReports, OnTrouble, Report
from runtime.commands.gateway import gateway
from runtime.settings import load_settings
from tests.runtime.faults.orders import Orders


class StruckGateway(Gateway):
    """The gateway with a look for orders at each moment."""

    def __init__(self, config: GatewayConfig, parts: GatewayParts) -> None:
        super().__init__(config, parts)
        self.orders = Orders(load_settings().home, "gateway")
        StruckWaiter.gateway = self

    def reach(self, moment: str) -> None:
        """Die here if that was ordered."""
        if self.orders.due(moment) is not None:
            os.kill(os.getpid(), signal.SIGKILL)

    def ship(self, parcel: Parcel) -> None:
        """Send a parcel to the log."""
        self.reach("before_produce")
        super().ship(parcel)

    def open_client(self, on_reports: OnReports, on_trouble: OnTrouble) -> Client:
        """A fresh producer."""

        def hear(reports: list[Report]) -> None:
            self.reach("before_report")
            on_reports(reports)

        return super().open_client(hear, on_trouble)


class StruckWaiter(Waiter):
    """A request that is about to be answered, whichever way it came in."""

    __slots__ = ()
    gateway: ClassVar[StruckGateway]

    def confirm(self) -> None:
        """One more of its parcels is safe."""
        if self.remaining == 1:
            self.gateway.reach("before_answer")
        super().confirm()


if __name__ == "__main__":
    with patch("ingest.app.Gateway", StruckGateway), patch("ingest.coalesce.Waiter", StruckWaiter):
        gateway("127.0.0.1", None)
