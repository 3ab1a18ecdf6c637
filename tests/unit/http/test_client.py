"""HTTP clients of ours under the proxies of the environment."""

import httpx
import pytest

from pipeline.errors import InvalidInputError
from pipeline.http.client import failure, open_client


@pytest.fixture(autouse=True)
def _bare(monkeypatch: pytest.MonkeyPatch) -> None:
    """An environment without proxies."""
    for name in ("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)


@pytest.mark.field("socks_proxy")
@pytest.mark.parametrize("no_proxy", ["127.0.0.1", ""])
def test_a_client_of_loopback_opens_under_a_socks_proxy(
    monkeypatch: pytest.MonkeyPatch, no_proxy: str
) -> None:
    """Httpx's own client raises ImportError."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", no_proxy)
    with pytest.raises(ImportError):
        httpx.Client()
    open_client("http://127.0.0.1:3000", timeout=1).close()


@pytest.mark.parametrize("proxy", ["socks5://u:pass@proxy:9", "socks4://proxy:9", "http://a:b:c"])
def test_a_proxy_that_cannot_be_used_is_named(monkeypatch: pytest.MonkeyPatch, proxy: str) -> None:
    """With its variable and without its password."""
    monkeypatch.setenv("ALL_PROXY", proxy)
    with pytest.raises(InvalidInputError, match="the proxy in ALL_PROXY") as error:
        open_client("https://service.lab", timeout=1)
    assert "pass" not in str(error.value)


def test_a_failure_names_the_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    """Otherwise a user looks at the wrong machine."""
    monkeypatch.setenv("HTTP_PROXY", "http://u:pass@proxy:9")
    error = httpx.ConnectError("refused")
    assert failure("http://host", error) == "refused (through http://proxy:9 of HTTP_PROXY)"
    assert failure("http://localhost", error) == "refused"
