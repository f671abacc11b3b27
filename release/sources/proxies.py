"""The proxies that the environment names: which one a request goes through, and which one cannot be used."""

import os
from collections.abc import Iterator
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx2

from release.errors import HubUnreachable
from release.format import shown

SCHEMES = ("http", "https", "all")


def named(scheme: str) -> tuple[str, str] | None:
    """Return the variable that names the proxy of a scheme, as it is written in the environment, and its value."""
    value = getproxies().get(scheme)
    names = [name for name, held in os.environ.items() if name.lower() == f"{scheme}_proxy" and held == value]
    # Where it is set twice, the client takes the one in small letters.
    return (max(names), value) if value and names else None


def on_the_way(url: str) -> str:
    """Say through which proxy an address is asked, as a sentence that follows another; "" for none."""
    parts = urlsplit(url)
    if proxy_bypass(parts.hostname or ""):
        return ""
    proxy = named(parts.scheme) or named("all")
    return f" It was asked through the proxy {_without_login(proxy[1])}, which {proxy[0]} names." if proxy else ""


def unusable() -> HubUnreachable | None:
    """Return the error for a variable that names no proxy that can be used; None where there is none."""
    return next(_faults(), None)


def _faults() -> Iterator[HubUnreachable]:
    for name, value in filter(None, map(named, SCHEMES)):
        address = value if "://" in value else f"http://{value}"
        try:
            _require_host(address)
            httpx2.HTTPTransport(proxy=httpx2.Proxy(address), verify=False).close()
        except ImportError:
            seen = (
                f"{name} names a SOCKS proxy ({_without_login(value)}), and the package that speaks SOCKS is missing."
            )
            yield HubUnreachable(seen, f"Install it with `pip install socksio`, or unset {name}.")
        except (ValueError, httpx2.InvalidURL):
            seen = f"{name} names no proxy that can be used ({_without_login(value)})."
            yield HubUnreachable(seen, f"Give it as in http://host:port, or unset {name}.")


def _require_host(address: str) -> None:
    """The client takes an address without a host, and fails at its first request."""
    if not urlsplit(address).hostname:
        raise ValueError(address)


def _without_login(address: str) -> str:
    """Return an address without name and password."""
    scheme, mark, rest = address.rpartition("://")
    return shown(f"{scheme}{mark}{rest.rpartition('@')[2]}", 200)
