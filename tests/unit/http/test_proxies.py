"""Which proxy of the environment leads to an address."""

import pytest

from pipeline.http.proxies import is_loopback, proxy_of, unusable_socks

VARIABLES = ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY")


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxies."""
    for name in VARIABLES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.parametrize(
    "host",
    ["127.0.0.1", "127.9.9.9", "localhost", "LocalHost.", "a.localhost", "::1", "[::1]", "0.0.0.0",  # noqa: S104
     "::ffff:127.0.0.1", "::"],
)  # fmt: skip
def test_this_machine_is_loopback(host: str) -> None:
    """By name or address; `0.0.0.0` connects to this machine, too."""
    assert is_loopback(host)


@pytest.mark.parametrize("host", ["", "example.org", "127.example.org", "10.0.0.1", "fe80::1%eth0"])
def test_other_hosts_are_not(host: str) -> None:
    """No name is resolved."""
    assert not is_loopback(host)


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize("name", ["ALL_PROXY", "all_proxy", "HTTP_PROXY", "http_proxy"])
def test_loopback_is_requested_directly(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """Whatever NO_PROXY says."""
    monkeypatch.setenv(name, "socks5://127.0.0.1:9")
    for host in ("127.0.0.1", "localhost", "[::1]"):
        assert proxy_of(f"http://{host}:3000/model") is None


def test_the_scheme_selects_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """The one of the scheme before ALL_PROXY; without a scheme of its own it is HTTP."""
    monkeypatch.setenv("HTTPS_PROXY", "http://user:pass@secure:1\n")
    monkeypatch.setenv("all_proxy", "any:2")
    secure, plain = proxy_of("https://host/x"), proxy_of("http://host/x")
    assert secure
    assert plain
    assert (secure.url, secure.variable) == ("http://user:pass@secure:1", "HTTPS_PROXY")
    assert secure.address == "http://secure:1"
    assert (plain.url, plain.variable) == ("http://any:2", "ALL_PROXY")


@pytest.mark.parametrize(
    ("no_proxy", "direct"),
    [
        ("host.lab", True),
        (".lab", True),
        ("lab", True),
        ("HOST.LAB:3000", True),
        (" a , host.lab ", True),
        ("*", True),
        ("ost.lab", False),
        ("host.lab:4000", False),
        ("", False),
    ],
)
@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_hosts(
    monkeypatch: pytest.MonkeyPatch, name: str, no_proxy: str, direct: bool
) -> None:
    """Names, suffixes and ports, in capitals or not."""
    monkeypatch.setenv("HTTP_PROXY", "http://proxy:1")
    monkeypatch.setenv(name, no_proxy)
    assert (proxy_of("http://host.lab:3000") is None) == direct


def test_a_socks_proxy_is_not_usable_without_its_library() -> None:
    """Only variables of proxies count; `socksio` is no dependency of ours."""
    variables = {
        "ALL_PROXY": "SOCKS5h://a:1",
        "https_proxy": " socks4://a:1",
        "HTTP_PROXY": "http://socks:1",
        "OTHER": "socks5://a:1",
    }
    assert unusable_socks(variables) == ["ALL_PROXY", "https_proxy"]
