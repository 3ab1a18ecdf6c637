"""Proxies of the environment: which one leads to an address, and what bypasses them.

`HTTP_PROXY`, `HTTPS_PROXY` and `ALL_PROXY`, except for hosts in `NO_PROXY`, in capitals or not. A
loopback address is never behind a proxy.
"""

import importlib.util
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

from pipeline.telemetry import PROXY_VARIABLES


@dataclass(frozen=True)
class Proxy:
    """A proxy and the variable that names it."""

    url: str
    """With its scheme; may contain a password."""
    variable: str

    @property
    def address(self) -> str:
        """Scheme, host and port, without a password."""
        scheme, _, rest = self.url.partition("://")  # it may be no URL that can be parsed
        return f"{scheme}://{rest.rpartition('@')[2]}"


def proxy_of(url: str) -> Proxy | None:
    """The proxy of the environment for an address; None if it is asked directly."""
    parts = urlsplit(url)
    host = parts.hostname or ""
    if is_loopback(host) or proxy_bypass(f"{host}:{parts.port}" if parts.port else host):
        return None
    proxies = getproxies()
    for kind in (parts.scheme, "all"):
        if address := proxies.get(kind, "").strip():
            complete = address if "://" in address else f"http://{address}"
            return Proxy(complete, f"{kind.upper()}_PROXY")
    return None


def is_loopback(host: str) -> bool:
    """Whether a host name or address is this machine; resolves no name."""
    name = host.lower().rstrip(".")
    if name == "localhost" or name.endswith(".localhost"):  # RFC 6761
        return True
    try:
        address = ipaddress.ip_address(name.strip("[]").partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None) or address
    return bool(mapped.is_loopback or mapped.is_unspecified)


def unusable_socks(variables: Mapping[str, str]) -> list[str]:
    """Variables with a SOCKS proxy, if httpx has no library for it.

    Its clients, Airflow's among them, then fail for every address, whatever `NO_PROXY` says.
    """
    if importlib.util.find_spec("socksio") is not None:
        return []
    return [
        name
        for name, value in variables.items()
        if name.upper() in PROXY_VARIABLES and value.strip().lower().startswith("socks")
    ]
