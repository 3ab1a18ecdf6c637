"""Checks of the network: ports of the embedded stack, and proxies of the environment."""

from collections.abc import Iterator, Mapping
from urllib.request import proxy_bypass_environment

from pipeline.doctor.finding import Finding, Subject, note, ok, problem, unreachable
from pipeline.embedded import ports as stack_ports
from pipeline.embedded.credentials import S3_URL
from pipeline.embedded.parts import parts
from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.http.proxies import PROXY_VARIABLES, unusable_socks

LOOPBACK = ("127.0.0.1", "localhost")


def ports(subject: Subject) -> Iterator[Finding]:
    """Whether the stack's ports are free or used by this stack."""
    if subject.stack_is_up:
        yield ok("ports", "in use by this stack, which is up")
        return
    settings = subject.settings
    endpoint = {"aws_endpoint_url_s3": settings.aws_endpoint_url_s3 or S3_URL}
    try:
        stack_ports.require_free(parts(), settings.model_copy(update=endpoint))
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
    through = proxied_loopback(subject.environment)
    if through:
        yield problem(
            "proxies",
            f"{', '.join(found)} set, but NO_PROXY lacks {', '.join(through)}",
            "programs such as curl ask the proxy for the servers of this machine; Leukoflow's own "
            "processes do not",
            f"export NO_PROXY={','.join([*LOOPBACK, *_bypassed(subject.environment)])}",
        )
    for name in unusable_socks(subject.environment):
        meaning = "HTTP clients cannot use it, for whatever address"
        yield problem("proxies", f"{name} is a SOCKS proxy", meaning, "pip install 'httpx[socks]'")
    if not through:
        yield ok("proxies", f"{', '.join(found)}, not for loopback")


def proxy_variables(environment: Mapping[str, str]) -> list[str]:
    """Variables that name a proxy, in capitals or small letters."""
    names = (*PROXY_VARIABLES, *(name.lower() for name in PROXY_VARIABLES))
    return [name for name in names if environment.get(name, "").strip()]


def proxied_loopback(environment: Mapping[str, str]) -> list[str]:
    """Loopback hosts that NO_PROXY does not list."""
    excluded = ",".join(_bypassed(environment))
    bypass = "*" if "*" in excluded.split(",") else excluded
    return [host for host in LOOPBACK if not proxy_bypass_environment(host, {"no": bypass})]


def _bypassed(environment: Mapping[str, str]) -> list[str]:
    values = (environment.get(name, "") for name in ("NO_PROXY", "no_proxy"))
    hosts = (host.strip() for value in values for host in value.split(","))
    return list(dict.fromkeys(host for host in hosts if host))
