"""Requests to Airflow's API: login, retries, and errors as ours."""

import time
from typing import Any

import httpx

from pipeline.errors import InvalidInputError, UnreachableError
from pipeline.http.client import failure, open_client
from pipeline.settings import Settings

_RETRY_DELAYS_S = (0.5, 1.0, 2.0)
_TIMEOUT = httpx.Timeout(90, connect=10)
"""Seconds. On SQLite, a request waits up to 30 for each lock of the database."""


class AirflowSession:
    """One user's session: logs in on first use and again when the token has expired."""

    def __init__(self, settings: Settings, transport: httpx.BaseTransport | None = None) -> None:
        self.url = settings.airflow_url.rstrip("/")
        self._login = {
            "username": settings.airflow_user,
            "password": settings.airflow_password.get_secret_value(),
        }
        self._http = open_client(self.url, timeout=_TIMEOUT, transport=transport)

    def get(self, path: str, **params: Any) -> Any:
        """Send a GET and return its JSON; retries as `send`, raises as `require_success`."""
        return require_success(self.send("GET", path, params=params)).json()

    def send(
        self, method: str, path: str, *, idempotent: bool | None = None, **arguments: Any
    ) -> httpx.Response:
        """Send a request and return any response; if it is idempotent, a 5xx is retried 3 times.

        With an expired token, the request is sent again with a new one. On SQLite, Airflow returns
        500, or is late, while another process locks the database.

        Args:
            method: of HTTP.
            path: below `/api/v2`.
            idempotent: whether the request may be sent again; by default all but a POST.
            arguments: those of `httpx.Client.request`.

        Raises:
            UnreachableError: when Airflow does not respond.
        """
        repeatable = method != "POST" if idempotent is None else idempotent
        try:
            if "Authorization" not in self._http.headers:
                self._log_in()
            response = self._request(repeatable, method, path, **arguments)
            if response.status_code == httpx.codes.UNAUTHORIZED:
                self._log_in()
                response = self._request(repeatable, method, path, **arguments)
            for delay in _RETRY_DELAYS_S if repeatable else ():
                if not response.is_server_error:
                    break
                time.sleep(delay)
                response = self._request(repeatable, method, path, **arguments)
        except httpx.TransportError as error:
            reason = failure(self.url, error)
            raise UnreachableError(f"Airflow does not respond at {self.url}: {reason}") from error
        return response

    def _request(
        self, repeatable: bool, method: str, path: str, **arguments: Any
    ) -> httpx.Response:
        """Send a request; after a read timeout, send it once more if it is repeatable."""
        try:
            return self._http.request(method, f"/api/v2{path}", **arguments)
        except httpx.ReadTimeout:
            if not repeatable:
                raise
            return self._http.request(method, f"/api/v2{path}", **arguments)

    def _log_in(self) -> None:
        """Log in, and send the token with every later request."""
        response = require_success(self._http.post("/auth/token", json=self._login))
        self._http.headers["Authorization"] = f"Bearer {response.json()['access_token']}"


def require_success(response: httpx.Response) -> httpx.Response:
    """Return a successful response; raise UnreachableError for a 5xx, else InvalidInputError."""
    if response.is_success:
        return response
    request = f"{response.request.method} {response.request.url.path}"
    if response.is_server_error:
        raise UnreachableError(f"Airflow failed at {request} with status {response.status_code}")
    raise InvalidInputError(
        f"Airflow refused {request} with status {response.status_code}", received=_detail(response)
    )


def _detail(response: httpx.Response) -> str:
    """Airflow's reason for an error, else the start of the body."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return response.text[:200]
