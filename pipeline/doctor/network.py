"""Checks of the network: ports of the embedded stack, and proxies of the environment."""

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit
from urllib.request import proxy_bypass_environment  # type: ignore[attr-defined]

from pipeline.doctor.configuration import ADDRESSES
from pipeline.doctor.finding import Finding, Subject, note, ok, problem, unreachable
from pipeline.embedded import ports as stack_ports
from pipeline.embedded.credentials import S3_URL
from pipeline.embedded.parts import parts
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.http.proxies import is_loopback, unusable_socks
from pipeline.telemetry import PROXY_VARIABLES

LOOPBACK = ("127.0.0.1", "localhost")


def ports(subject: Subject) -> Iterator[Finding]:
    """Whether the stack's ports are free or used by this stack.

    A part whose address is in the environment may be another installation's: `servers` and `store`
    ask what responds there.
    """
    if subject.stack_is_up:
        yield ok("ports", "in use by this stack, which is up")
        return
    settings = subject.settings
    endpoint = {"aws_endpoint_url_s3": settings.aws_endpoint_url_s3 or S3_URL}
    own = [part for part in parts() if not subject.environment.get(part.setting.upper())]
    try:
        stack_ports.require_free(own, settings.model_copy(update=endpoint))
    except UnreachableError as error:
        meaning = "`make up` cannot start the stack"
        yield unreachable("ports", error.message, meaning, "stop that process, or move the part")
    except InvalidInputError as error:
        # The servers are elsewhere, as in Compose: there is nothing to start here.
        yield note("ports", str(error))
    else:
        yield ok("ports", "free")


def proxies(subject: Subject) -> Iterator[Finding]:
    """Whether a proxy of the environment is asked for loopback, or cannot be used."""
    found = proxy_variables(subject.environment)
    if not found:
        yield ok("proxies", "none")
        return
    through = proxied_loopback(subject)
    if through:
        hosts = dict.fromkeys([*LOOPBACK, *_bypassed(subject.environment)])
        yield problem(
            "proxies",
            f"{', '.join(found)} set, but NO_PROXY lacks {', '.join(through)}",
            "programs such as curl ask the proxy for the servers of this machine; Leukoflow's own "
            "processes do not",
            f"export NO_PROXY={','.join(hosts)}",
        )
    for name in unusable_socks(subject.environment):
        meaning = "servers on other machines cannot be asked"
        yield problem("proxies", f"{name} is a SOCKS proxy", meaning, "pip install 'httpx[socks]'")
    if not through:
        yield ok("proxies", f"{', '.join(found)}, not for loopback")


def proxy_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that name a proxy, in capitals or small letters."""
    names = (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES))
    return [name for name in names if environment.get(name, "").strip()]


def proxied_loopback(subject: Subject) -> list[str]:
    """Loopback hosts of the servers' addresses that NO_PROXY does not list."""
    excluded = _bypassed(subject.environment)
    bypass = {"no": "*" if "*" in excluded else ",".join(excluded)}
    addresses = (getattr(subject.settings, setting) for setting in ADDRESSES)
    hosts = sorted({urlsplit(address).hostname or "" for address in addresses})
    return [
        host for host in hosts if is_loopback(host) and not proxy_bypass_environment(host, bypass)
    ]


def _bypassed(environment: Mapping[str, str]) -> list[str]:
    values = (environment.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    hosts = (host.strip() for value in values for host in value.split(","))
    return list(dict.fromkeys(host for host in hosts if host))
