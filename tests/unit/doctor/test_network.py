"""Checks of ports and proxies."""

import socket
from collections.abc import Callable

import pytest

from pipeline.doctor import network
from pipeline.doctor.finding import Subject

Examined = Callable[..., Subject]


@pytest.mark.parametrize("name", ["HTTP_PROXY", "https_proxy", "ALL_PROXY"])
def test_a_proxy_that_swallows_loopback_is_a_problem(examined: Examined, name: str) -> None:
    """The action is a line for the shell that keeps the other hosts."""
    variables = {name: "http://u:secret@proxy.test:3128", "NO_PROXY": "intra.test"}
    (proxies,) = network.proxies(examined(**variables))
    assert proxies.exit_code == 2
    assert proxies.action == "export NO_PROXY=127.0.0.1,localhost,intra.test"
    assert "secret" not in f"{proxies.value}{proxies.meaning}{proxies.action}"


@pytest.mark.parametrize("excluded", ["127.0.0.1", "a.test, 127.0.0.1", "*"])
def test_a_proxy_that_leaves_loopback_alone_is_ok(examined: Examined, excluded: str) -> None:
    """NO_PROXY may be in small letters."""
    subject = examined(HTTP_PROXY="http://proxy.test:3128", no_proxy=excluded)
    assert [finding.state for finding in network.proxies(subject)] == ["ok"]


def test_only_the_hosts_of_the_servers_count(examined: Examined) -> None:
    """`localhost` must be excluded if an address names it."""
    variables = {"HTTP_PROXY": "http://proxy.test:1", "NO_PROXY": "127.0.0.1"}
    subject = examined(**variables, SERVICE_URL="http://localhost:3000")
    assert "lacks localhost" in next(iter(network.proxies(subject))).value


@pytest.mark.enable_socket
def test_a_taken_port_is_unreachable(examined: Examined, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process is named; an address of the environment may be another installation's."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"http://127.0.0.1:{taken.getsockname()[1]}"
        moved = examined(REPORTS_URL=address)
        (named,) = network.ports(Subject(moved.settings, {}))
        assert named.exit_code == 3
        assert "Reports is taken by" in named.value
        assert address.rpartition(":")[2] not in next(iter(network.ports(moved))).value
