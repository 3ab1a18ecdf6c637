"""Report site: an HTTP server for the static pages under `<root>/reports/` in the object store.

`python -m monitoring.reports.server [--host 127.0.0.1] [--port 8001]`
"""

import argparse
import os

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse, RedirectResponse, Response
from starlette.routing import Route

from pipeline.adapters.storage import ObjectStore, UriStore
from pipeline.errors import BucketError, InvalidInputError, UnreachableError
from pipeline.pages.report_site import INDEX, content_type, rebuild_index
from pipeline.settings import load_settings

DEFAULT_PORT = 8001
_HEADERS = {
    "Cache-Control": "no-cache",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # Pages of Evidently have inline scripts; other hosts are blocked.
    "Content-Security-Policy": (
        "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'self'"
    ),
}


def create_site(objects: ObjectStore, root: str) -> Starlette:
    """ASGI application: `/healthz` and every published file; builds a missing index.

    Args:
        objects: the object store with the pages.
        root: root of the store; only `<root>/reports/` can be reached.
    """
    site = f"{root.rstrip('/')}/reports"

    def page(request: Request) -> Response:
        path = request.path_params["path"]
        if not is_safe(path):
            return PlainTextResponse("page not found", 404, headers=_HEADERS)
        name = f"{path}{INDEX}" if path.endswith("/") or not path else path
        try:
            if not path and objects.stat(f"{site}/{INDEX}") is None:
                rebuild_index(objects, root)
            file = objects.read_tagged(f"{site}/{name}")
            is_folder = file is None and objects.stat(f"{site}/{name}/{INDEX}") is not None
        except BucketError as error:
            return PlainTextResponse(str(error), 503, headers=_HEADERS)
        except UnreachableError:
            return PlainTextResponse("the object store is unreachable", 503, headers=_HEADERS)
        if is_folder:
            return RedirectResponse(f"/{path}/", headers=_HEADERS)
        if file is None:
            return PlainTextResponse("page not found", 404, headers=_HEADERS)
        return _file_response(request, name, *file)

    return Starlette(routes=[Route("/healthz", _healthy), Route("/{path:path}", page)])


def is_safe(path: str) -> bool:
    """Whether a URL path is safe: no empty, hidden or unprintable part, and no backslash."""
    parts = path.removesuffix("/").split("/") if path else []
    return all(part and not part.startswith(".") and part.isprintable() for part in parts) and (
        "\\" not in path
    )


def _healthy(_: Request) -> Response:
    """Respond 200 while the server runs; does not check the store."""
    return PlainTextResponse("ok")


def _file_response(request: Request, name: str, data: bytes, etag: str) -> Response:
    """The file, or 304 if the client has this ETag."""
    headers = {**_HEADERS, "ETag": etag}
    if request.headers.get("if-none-match") == etag:
        return Response(status_code=304, headers=headers)
    return Response(data, media_type=content_type(name), headers=headers)


def main() -> None:
    """Run the server until it is stopped; exits with 2 if STORE_URI is not set."""
    import uvicorn

    from pipeline.http.connections import Connections

    parser = argparse.ArgumentParser(prog="python -m monitoring.reports.server")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument(
        "--port", type=int, default=int(os.environ.get("REPORTS_PORT", DEFAULT_PORT))
    )
    options = parser.parse_args()
    settings = load_settings()
    try:
        root = settings.require_store()
    except InvalidInputError as error:
        parser.exit(error.exit_code, f"{error}\n")
    site = create_site(UriStore(settings), root)
    server = uvicorn.Server(
        uvicorn.Config(site, host=options.host, port=options.port, log_level="warning")
    )
    Connections(server, settings)
    server.run()


if __name__ == "__main__":
    main()
