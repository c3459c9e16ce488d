"""Simulated trouble writes thousands of log lines; nobody reads them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.simulation.simulate import silence


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Keep the product's log lines to ourselves."""
    with silence():
        yield
