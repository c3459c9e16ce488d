"""Keeps web pages out: a browser on this machine can reach local ports on behalf of any page that it shows.

A page's request carries ``Origin`` or ``Sec-Fetch-Site``; one that went around both by giving its own name our
address carries that name in ``Host``. Clients of ClickHouse send none of these.
"""

from __future__ import annotations

from collections.abc import Mapping
from ipaddress import ip_address
from urllib.parse import urlsplit


def comes_from_a_page(headers: Mapping[str, str], *, local: bool) -> bool:
    """Whether the request was made by a page of another site; ``local`` servers are known by local names only."""
    host = headers.get("host", "")
    if "origin" in headers and urlsplit(headers["origin"]).netloc != host:
        return True
    if headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return True
    return local and host != "" and not is_local(urlsplit(f"//{host}").hostname or "")


def is_local(host: str) -> bool:
    """Whether a name or an address means this machine, for certain."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False
