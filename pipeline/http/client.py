"""HTTP clients of ours."""

import httpx

from pipeline.errors import InvalidInputError
from pipeline.http.proxies import Proxy, proxy_of


def open_client(
    url: str,
    *,
    timeout: float | httpx.Timeout,
    limits: httpx.Limits | None = None,
    transport: httpx.BaseTransport | None = None,
) -> httpx.Client:
    """A client of the server at `url`, for paths below it; connects on first use.

    A loopback address is asked directly, others through the proxy of the environment. httpx's own
    client fails at once if any proxy of the environment cannot be used, also for loopback.

    Args:
        url: scheme, host and port, perhaps with a path.
        timeout: in seconds, for connecting, and for each part of a response.
        limits: of connections; httpx's own by default.
        transport: in place of the network, for tests.

    Raises:
        InvalidInputError: when the proxy for the address cannot be used; it names the variable.
    """
    if transport is None:
        transport = _transport(url, limits or httpx.Limits())
    return httpx.Client(base_url=url, timeout=timeout, transport=transport)


def failure(url: str, error: httpx.TransportError) -> str:
    """Reason of a failed request, and the proxy if there is one."""
    proxy = proxy_of(url)
    return f"{error} (through {proxy.address} of {proxy.variable})" if proxy else str(error)


def _transport(url: str, limits: httpx.Limits) -> httpx.HTTPTransport:
    proxy = proxy_of(url)
    try:
        return httpx.HTTPTransport(proxy=proxy.url if proxy else None, limits=limits)
    except (ImportError, ValueError, httpx.InvalidURL) as error:
        if proxy is None:
            raise
        raise _unusable(url, proxy, error) from error


def _unusable(url: str, proxy: Proxy, error: Exception) -> InvalidInputError:
    return InvalidInputError(
        f"the proxy in {proxy.variable} cannot be used for {url}",
        expected="an http:// or https:// proxy, the package httpx[socks] for a SOCKS proxy, or the "
        "host in NO_PROXY",
        received=f"{proxy.address}: {type(error).__name__}",
    )
